//! The token, where one is wanted.

use axum::http::{HeaderMap, header};
use pricemonitor_config::SecretString;
use sha2::{Digest, Sha256};

/// Judges what a request shows. Holds hashes only.
#[derive(Clone)]
pub(crate) struct Gate {
    token: [u8; 32],
    cookie: [u8; 32],
    /// `name=value`, as it is set and as it comes back.
    pair: String,
}

impl Gate {
    /// `port` makes the cookie's name: cookies know no ports, and two pages on one machine must
    /// not take each other's.
    pub(crate) fn new(token: &SecretString, port: u16) -> Gate {
        // Not the token itself, so that a stolen cookie jar does not open the API elsewhere.
        let value: String =
            hash(&["pricemonitor page", token.expose()]).iter().map(|b| format!("{b:02x}")).collect();
        let cookie = hash(&[&value]);
        Gate { token: hash(&[token.expose()]), cookie, pair: format!("pricemonitor_{port}={value}") }
    }

    /// Whether the request's headers hold the token or its cookie.
    pub(crate) fn admits(&self, headers: &HeaderMap) -> bool {
        let bearer = headers
            .get_all(header::AUTHORIZATION)
            .iter()
            .filter_map(|value| value.to_str().ok()?.strip_prefix("Bearer "))
            .any(|token| self.is_token(token.trim()));
        let (name, _) = self.pair.split_once('=').unwrap_or_default();
        let cookie = || {
            headers
                .get_all(header::COOKIE)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(';'))
                .filter_map(|pair| pair.trim().split_once('='))
                .any(|(key, value)| key == name && same(&hash(&[value]), &self.cookie))
        };
        bearer || cookie()
    }

    /// Whether this is the token.
    pub(crate) fn is_token(&self, text: &str) -> bool {
        same(&hash(&[text]), &self.token)
    }

    /// The header that makes a browser remember.
    pub(crate) fn set_cookie(&self) -> String {
        format!("{}; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000", self.pair)
    }
}

fn hash(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

/// Takes the same time whatever differs.
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    std::hint::black_box(a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b))) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn the_token_and_its_cookie_are_admitted_and_nothing_near_them() {
        let gate = Gate::new(&SecretString::new("s3cret"), 8501);
        assert!(gate.admits(&headers(header::AUTHORIZATION, "Bearer s3cret")));
        for wrong in ["Bearer s3cre", "Bearer s3cret2", "Bearer ", "Basic s3cret", "s3cret", "bearer"] {
            assert!(!gate.admits(&headers(header::AUTHORIZATION, wrong)), "{wrong}");
        }
        let set = gate.set_cookie();
        assert!(!set.contains("s3cret") && set.contains("HttpOnly") && set.contains("SameSite=Strict"));
        let pair = set.split(';').next().unwrap();
        assert!(gate.admits(&headers(header::COOKIE, &format!("a=b; {pair}; c=d"))));
        assert!(!gate.admits(&headers(header::COOKIE, &pair[..pair.len() - 1])));
        assert!(!gate.admits(&headers(header::COOKIE, "pricemonitor_8501=s3cret")));
        let other = Gate::new(&SecretString::new("s3cret"), 8502);
        assert!(!other.admits(&headers(header::COOKIE, pair)), "another port's cookie");
        assert!(!gate.admits(&HeaderMap::new()));
    }
}
