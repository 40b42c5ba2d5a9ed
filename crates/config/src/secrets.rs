//! Secrets by reference.
//!
//! A manifest never holds a secret, only where to find one: `secretKeyRef: {name, key}` means the
//! file `<secrets dir>/<name>/<key>`, which is how a cluster mounts it; on a laptop the environment
//! variable `PRICEMONITOR_SECRET_<NAME>_<KEY>` serves as well.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A value that is kept in a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretValue {
    /// Where it is.
    pub secret_key_ref: SecretRef,
}

/// One key of one Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Name of the Secret: a DNS label.
    pub name: String,
    /// Key in the Secret: letters, digits, `-`, `_` and `.`.
    pub key: String,
}

/// A secret's text. Its `Debug` and `Display` show no part of it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretString(String);

impl SecretString {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        SecretString(text.into())
    }

    /// The text itself. Whoever calls this keeps it out of logs, errors and metrics.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl fmt::Display for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Where secrets are found. The environment is handed over by the program's argument parsing;
/// nothing here reads it.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// Folder with one folder for each Secret.
    pub dir: Option<PathBuf>,
    /// Variables named `PRICEMONITOR_SECRET_<NAME>_<KEY>`.
    pub variables: HashMap<String, SecretString>,
}

/// A secret could not be had. Names the place, never the content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Neither file nor variable is there.
    #[error("secret `{name}` has no key `{key}`: put it into {remedy}")]
    Missing {
        /// Name of the Secret.
        name: String,
        /// Key in the Secret.
        key: String,
        /// Where it would be found.
        remedy: String,
    },
    /// It is there but cannot be read.
    #[error("secret `{name}`, key `{key}` cannot be read: {why}")]
    Unreadable {
        /// Name of the Secret.
        name: String,
        /// Key in the Secret.
        key: String,
        /// The reason.
        why: String,
    },
}

impl Secrets {
    /// The text behind a reference, without trailing line ends.
    ///
    /// # Errors
    /// [`SecretError`] names where it was looked for, never a content.
    pub fn resolve(&self, reference: &SecretRef) -> Result<SecretString, SecretError> {
        let SecretRef { name, key } = reference;
        let variable = variable_name(name, key);
        if let Some(dir) = &self.dir {
            let path = dir.join(name).join(key);
            match std::fs::read_to_string(&path) {
                Ok(text) => return Ok(SecretString::new(text.trim_end_matches(['\r', '\n']))),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    let why = format!("{}: {error}", path.display());
                    return Err(SecretError::Unreadable { name: name.clone(), key: key.clone(), why });
                }
            }
        }
        if let Some(value) = self.variables.get(&variable) {
            return Ok(value.clone());
        }
        let remedy = match &self.dir {
            Some(dir) => {
                format!("the file {} or the variable {variable}", dir.join(name).join(key).display())
            }
            None => format!("the variable {variable}, or name a folder with --secrets-dir"),
        };
        Err(SecretError::Missing { name: name.clone(), key: key.clone(), remedy })
    }
}

/// `PRICEMONITOR_SECRET_<NAME>_<KEY>`: upper case, every other character as `_`.
pub fn variable_name(name: &str, key: &str) -> String {
    let tail = format!("{name}_{key}");
    let tail: String =
        tail.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    format!("PRICEMONITOR_SECRET_{tail}")
}
