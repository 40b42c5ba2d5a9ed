//! Signatures after the Standard Webhooks convention.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Base64 with or without `=` at the end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The key that receiver and sender share. Not `Debug`.
pub(crate) struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    /// `whsec_<base64>` means the bytes behind the base64, any other text its own bytes.
    ///
    /// # Errors
    /// What is wrong, without any of the text.
    pub(crate) fn new(text: &str) -> Result<SigningKey, &'static str> {
        let bytes = match text.strip_prefix("whsec_") {
            Some(encoded) => BASE64.decode(encoded).map_err(|_| "behind `whsec_` it must be base64")?,
            None => text.as_bytes().to_vec(),
        };
        if bytes.is_empty() {
            return Err("it is empty");
        }
        Hmac::new_from_slice(&bytes).map(SigningKey).map_err(|_| "its length cannot be used")
    }

    /// `v1,` and the base64 of the HMAC-SHA256 of `id.timestamp.body`; `timestamp` in seconds.
    pub(crate) fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_convention_has_the_signature_that_the_convention_says() {
        let key = SigningKey::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").ok().unwrap();
        let body = br#"{"test": 2432232314}"#;
        assert_eq!(
            key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn a_key_is_base64_behind_its_prefix_and_else_plain_text() {
        let sign = |key: &str| SigningKey::new(key).map(|key| key.sign("i", 1, b"{}"));
        assert_eq!(sign("abc"), sign("whsec_YWJj"));
        assert_eq!(sign("whsec_YQ=="), sign("whsec_YQ"));
        assert_ne!(sign("YWJj"), sign("whsec_YWJj"));
        assert!(sign("whsec_not base64").is_err());
        assert!(sign("whsec_").is_err());
        assert!(sign("").is_err());
    }
}
