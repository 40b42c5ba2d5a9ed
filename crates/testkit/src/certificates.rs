//! Certificates of a test's own: an authority that nobody else trusts, and what it signs.

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};

/// An authority. Everything it signs is valid for longer than any test.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

/// A certificate with its key, both as PEM; keys are of the curve P-256 and in PKCS #8.
#[derive(Clone)]
pub struct Identity {
    /// The certificate, without that of the authority.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

impl Authority {
    /// A fresh one of that common name.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new(name: &str) -> Result<Authority> {
        let mut params = named(name)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key).context("signing the authority")?.pem();
        Ok(Authority { issuer: Issuer::new(params, key), certificate })
    }

    /// Its own certificate as PEM: what a client must trust.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// For a server on the loopback address, by the names `localhost` and `127.0.0.1`.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn server(&self) -> Result<Identity> {
        self.server_also_at(&[])
    }

    /// As [`Authority::server`], also by these names and addresses.
    ///
    /// # Errors
    /// When it cannot be signed, or a name is none.
    pub fn server_also_at(&self, names: &[String]) -> Result<Identity> {
        let loopback = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new([&loopback, names].concat())?;
        params.distinguished_name = distinguished("localhost");
        self.sign(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// For a client of that common name.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn client(&self, name: &str) -> Result<Identity> {
        self.sign(named(name)?, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, mut params: CertificateParams, purpose: ExtendedKeyUsagePurpose) -> Result<Identity> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer).context("signing a certificate")?;
        Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

fn named(name: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::new([])?;
    params.distinguished_name = distinguished(name);
    Ok(params)
}

/// The common name and nothing else: rcgen's own default would be a second one.
fn distinguished(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
