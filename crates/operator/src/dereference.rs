//! What a monitor reads of Secrets and ConfigMaps. Values are hashed and forgotten at once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::api::{Error, Kubernetes};
use crate::context::hash;
use crate::kinds::{CONFIG_MAP, Kind, SECRET};
use crate::references::Reference;
use crate::role::Role;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dereferenced {
    /// A hash of what each role reads, for [`crate::Inputs::references`].
    pub hashes: BTreeMap<Role, String>,
    /// What is needed and not there, each as a sentence.
    pub missing: Vec<String>,
    /// What could not be read, each as a sentence.
    pub unread: Vec<String>,
    /// The first reason that may pass soon by itself.
    pub failure: Option<Error>,
    /// Roles that need something of what is missing, or may need what was not read.
    pub lacking: BTreeSet<Role>,
    /// Keys of Secrets that a role can do without, and that are there.
    pub optional: BTreeSet<(String, String)>,
}

fn kind(reference: &Reference) -> Kind {
    if reference.config_map { CONFIG_MAP } else { SECRET }
}

/// Reads what the roles need, each object once.
///
/// # Errors
/// When the API cannot be asked for anything now. What is missing or not to be read is no error.
pub async fn dereference(
    api: &Kubernetes,
    namespace: &str,
    needed: &BTreeMap<Role, BTreeSet<Reference>>,
) -> Result<Dereferenced, Error> {
    let mut objects: BTreeMap<(bool, &str), Option<Value>> = BTreeMap::new();
    let mut unread = BTreeMap::new();
    for reference in needed.values().flatten() {
        let key = (reference.config_map, reference.name.as_str());
        if objects.contains_key(&key) || unread.contains_key(&key) {
            continue;
        }
        match api.get(namespace, kind(reference), &reference.name).await {
            Ok(object) => drop(objects.insert(key, object)),
            Err(error) if error.is_everywhere() => return Err(error),
            Err(error) => drop(unread.insert(key, error)),
        }
    }
    let mut out = found(needed, |reference| {
        let key = (reference.config_map, reference.name.as_str());
        if unread.contains_key(&key) {
            return Found::Unread;
        }
        let Some(object) = objects.get(&key).and_then(Option::as_ref) else { return Found::Nothing };
        object["data"][&reference.key].as_str().map_or(Found::Object, |value| Found::Value(value.to_owned()))
    });
    out.unread = unread.values().map(ToString::to_string).collect();
    out.failure = unread.into_values().find(|error| matches!(error, Error::Failed(_)));
    Ok(out)
}

/// What is where a reference points to.
enum Found {
    /// It could not be read.
    Unread,
    /// No such object.
    Nothing,
    /// The object, without the key.
    Object,
    /// The value of the key.
    Value(String),
}

/// Judges what was found.
fn found(needed: &BTreeMap<Role, BTreeSet<Reference>>, value: impl Fn(&Reference) -> Found) -> Dereferenced {
    let mut out = Dereferenced::default();
    let mut missing = BTreeSet::new();
    for (role, references) in needed {
        let mut texts = Vec::new();
        for reference in references {
            let Reference { name, key, optional, config_map } = reference;
            let kind = kind(reference).kind;
            // The page's and the workers' needs; what only the end needs is asked for at the end.
            let needless = *optional || *role == Role::Teardown;
            match value(reference) {
                Found::Value(value) => {
                    if *optional && !config_map {
                        out.optional.insert((name.clone(), key.clone()));
                    }
                    texts.extend([kind.to_owned(), name.clone(), key.clone(), value]);
                }
                Found::Unread => {
                    out.lacking.insert(*role);
                }
                Found::Nothing | Found::Object if needless => {}
                Found::Object => {
                    out.lacking.insert(*role);
                    missing.insert(format!("the {kind} `{name}` has no key `{key}`"));
                }
                Found::Nothing => {
                    out.lacking.insert(*role);
                    missing.insert(format!("the {kind} `{name}` is missing (key `{key}`)"));
                }
            }
        }
        out.hashes.insert(*role, hash(texts));
    }
    out.missing = missing.into_iter().collect();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed() -> BTreeMap<Role, BTreeSet<Reference>> {
        let secret = |name: &str, optional| Reference {
            config_map: false,
            name: name.to_owned(),
            key: "k".to_owned(),
            optional,
        };
        [
            (Role::Storage, BTreeSet::from([secret("db", false)])),
            (Role::Alert, BTreeSet::from([secret("db", false), secret("discord", true)])),
        ]
        .into()
    }

    #[test]
    fn a_changed_value_changes_the_hash_of_the_roles_that_read_it_and_of_no_other() {
        let with = |discord: &'static str| {
            found(&needed(), move |reference| {
                Found::Value(if reference.name == "discord" { discord } else { "x" }.to_owned())
            })
        };
        let (before, after) = (with("a"), with("b"));
        assert_eq!(before.hashes[&Role::Storage], after.hashes[&Role::Storage]);
        assert_ne!(before.hashes[&Role::Alert], after.hashes[&Role::Alert]);
        assert!(!format!("{before:?}").contains("\"a\""));
    }

    #[test]
    fn what_is_missing_is_named_once_and_what_is_optional_is_not() {
        assert_eq!(found(&needed(), |_| Found::Nothing).missing, ["the Secret `db` is missing (key `k`)"]);
        assert_eq!(found(&needed(), |_| Found::Object).missing, ["the Secret `db` has no key `k`"]);
    }

    #[test]
    fn what_cannot_be_read_is_lacked_by_all_that_might_read_it_and_is_not_missing() {
        let found = found(&needed(), |reference| match &*reference.name {
            "discord" => Found::Unread,
            _ => Found::Value("x".to_owned()),
        });
        assert_eq!((found.lacking, found.missing), (BTreeSet::from([Role::Alert]), Vec::new()));
    }
}
