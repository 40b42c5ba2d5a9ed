use std::fs;

use super::*;

fn reference(name: &str, key: &str) -> SecretRef {
    SecretRef { name: name.to_owned(), key: key.to_owned() }
}

#[test]
fn no_way_of_printing_shows_the_text() {
    let secret = SecretString::new("hunter2");
    let variables = [("PRICEMONITOR_SECRET_A_B".to_owned(), secret.clone())].into();
    let secrets = Secrets { dir: None, variables };
    for shown in [format!("{secret}"), format!("{secret:?}"), format!("{secret:#?}"), format!("{secrets:?}")]
    {
        assert!(!shown.contains("hunter2") && shown.contains("[secret]"), "{shown}");
    }
    assert_eq!(secret.expose(), "hunter2");
}

#[test]
fn a_file_comes_first_then_the_variable_and_line_ends_are_cut() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("discord")).unwrap();
    fs::write(dir.path().join("discord/url"), "https://x \r\n\n").unwrap();
    let variables = [
        ("PRICEMONITOR_SECRET_DISCORD_URL".to_owned(), SecretString::new("from the variable")),
        ("PRICEMONITOR_SECRET_MY_TOKEN_A_KEY".to_owned(), SecretString::new("t")),
    ];
    let secrets = Secrets { dir: Some(dir.path().to_owned()), variables: variables.into() };
    assert_eq!(secrets.resolve(&reference("discord", "url")).unwrap().expose(), "https://x ");
    assert_eq!(secrets.resolve(&reference("my-token", "a.key")).unwrap().expose(), "t");
    let secrets = Secrets { dir: None, ..secrets };
    assert_eq!(secrets.resolve(&reference("discord", "url")).unwrap().expose(), "from the variable");
}

#[test]
fn a_secret_that_is_missing_is_told_with_the_places_where_it_would_be_found() {
    let error = Secrets::default().resolve(&reference("discord", "url")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "secret `discord` has no key `url`: put it into the variable PRICEMONITOR_SECRET_DISCORD_URL, or name a folder \
         with --secrets-dir"
    );
    let secrets = Secrets { dir: Some("secrets".into()), ..Secrets::default() };
    let error = secrets.resolve(&reference("discord", "url")).unwrap_err().to_string();
    assert!(
        error.contains("the file secrets/discord/url or the variable PRICEMONITOR_SECRET_DISCORD_URL"),
        "{error}"
    );
}

#[test]
fn a_reference_cannot_leave_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("secrets/a")).unwrap();
    fs::write(dir.path().join("outside"), "hunter2").unwrap();
    fs::write(dir.path().join("secrets/outside"), "hunter2").unwrap();
    let secrets = Secrets { dir: Some(dir.path().join("secrets")), ..Secrets::default() };
    let absolute = dir.path().join("outside").display().to_string();
    for (name, key) in [
        ("..", "outside"),
        ("a", ".."),
        ("a", "../outside"),
        ("a/..", "outside"),
        ("a", "../../outside"),
        ("", "outside"),
        (".", "outside"),
        ("a", ""),
        ("a", &absolute),
        (&absolute, "outside"),
        ("a\0", "outside"),
    ] {
        let error = secrets.resolve(&reference(name, key)).unwrap_err();
        assert!(matches!(error, SecretError::Name { .. }), "{name} {key}: {error}");
        assert!(!error.to_string().contains("hunter2"));
    }
}

#[test]
fn a_file_that_is_empty_too_long_or_no_text_is_refused_without_showing_it() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("a/folder")).unwrap();
    fs::write(dir.path().join("a/empty"), "\n\n").unwrap();
    fs::write(dir.path().join("a/long"), "hunter2".repeat(200_000)).unwrap();
    fs::write(dir.path().join("a/bytes"), b"hunter2\xff").unwrap();
    let secrets = Secrets { dir: Some(dir.path().to_owned()), ..Secrets::default() };
    for (key, why) in
        [("empty", "it is empty"), ("long", "more than 1 MiB"), ("bytes", "UTF-8"), ("folder", "")]
    {
        let error = secrets.resolve(&reference("a", key)).unwrap_err();
        assert!(matches!(error, SecretError::Unreadable { .. }), "{key}: {error}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(why) && !shown.contains("hunter2"), "{shown:.200}");
    }
}

#[test]
fn names_and_keys_are_those_of_kubernetes() {
    for (name, ok) in
        [("a", true), ("kafka-user.v1", true), ("", false), ("A", false), ("a..b", false), ("-a", false)]
    {
        assert_eq!(valid_name(name), ok, "{name}");
    }
    for (key, ok) in
        [("url", true), ("ca.crt", true), (".hidden", true), ("..data", false), (".", false), ("a/b", false)]
    {
        assert_eq!(valid_key(key), ok, "{key}");
    }
}
