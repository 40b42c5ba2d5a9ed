//! Watched files through the public door.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use pricemonitor_config::{MappingInput, ReaderSettings, SourceKind};
use pricemonitor_sources::{Context, build, check};
use support::{AT, PORSSISAHKO, Polled, context, file, hourly, mapping, settings};

const LATEST: &str = include_str!("data/latest-prices.json");

fn watch(folder: &Path, path: impl AsRef<Path>) -> Polled {
    Polled::new(build(&file(path, PORSSISAHKO), &context(folder)).unwrap())
}

fn refusal(path: impl AsRef<Path>, context: &Context) -> String {
    build(&file(path, PORSSISAHKO), context).map(|_| ()).unwrap_err().to_string()
}

#[tokio::test]
async fn a_file_is_read_once_and_then_only_what_changed_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prices.json");
    fs::write(&path, LATEST).unwrap();
    let mut polled = watch(folder.path(), "prices.json");
    let first = polled.poll().await.unwrap().unwrap();
    assert_eq!(first.observations.len(), 96);
    assert!(!first.complete);
    assert!(polled.poll().await.unwrap().is_none());
    // Only touched.
    let later = SystemTime::now() + Duration::from_secs(60);
    fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
    assert!(polled.poll().await.unwrap().is_none());
    // Reformatted: other bytes, the same prices.
    fs::write(&path, LATEST.replace("  ", " ")).unwrap();
    let same = polled.poll().await.unwrap().unwrap();
    assert!(same.observations.is_empty());
    // One slot revised, of the same length, so that not even the size changes.
    fs::write(&path, LATEST.replacen("11.817", "11.818", 1)).unwrap();
    assert_eq!(polled.sent().await, ["11.818"]);
    // Another process goes on from the checkpoint.
    let mut again = watch(folder.path(), "prices.json");
    again.checkpoint = polled.checkpoint.clone();
    assert!(again.poll().await.unwrap().is_none());
}

#[tokio::test]
async fn a_look_whose_append_failed_is_repeated() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.json"), hourly(&["1", "2"])).unwrap();
    let mut polled = watch(folder.path(), "a.json");
    let first = polled.poll().await.unwrap().unwrap();
    polled.checkpoint = None;
    assert_eq!(polled.poll().await.unwrap().unwrap(), first);
}

#[tokio::test]
async fn a_missing_file_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut polled = watch(folder.path(), "later/prices.json");
    let (reason, message) = polled.fails().await;
    assert_eq!(reason, "missing");
    assert!(message.contains("later/prices.json is not there yet"), "{message}");
    fs::create_dir(folder.path().join("later")).unwrap();
    assert_eq!(polled.fails().await.0, "missing");
    fs::write(folder.path().join("later/prices.json"), hourly(&["1"])).unwrap();
    assert_eq!(polled.sent().await, ["1"]);
    fs::remove_file(folder.path().join("later/prices.json")).unwrap();
    assert_eq!(polled.fails().await.0, "missing");
}

#[tokio::test]
async fn a_torn_empty_or_wrong_file_leaves_the_last_good_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    fs::write(&path, hourly(&["1", "2"])).unwrap();
    let mut polled = watch(folder.path(), "a.json");
    assert_eq!(polled.sent().await, ["1", "2"]);
    let good = polled.checkpoint.clone();
    let next = hourly(&["1", "2.5", "3"]);
    for bad in
        ["", "\n", &next[..next.len() / 2], &next[..next.len() - 1], "{\"prices\":[]}", "<html>", "\0\0"]
    {
        fs::write(&path, bad).unwrap();
        let (reason, message) = polled.fails().await;
        assert_eq!(reason, "malformed");
        assert!(message.starts_with("a.json: "), "{message}");
        assert_eq!(polled.checkpoint, good);
    }
    fs::write(&path, next).unwrap();
    assert_eq!(polled.sent().await, ["2.5", "3"]);
}

#[tokio::test]
async fn replacement_by_rename_and_by_a_mounted_config_map_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("a.json"), hourly(&["1"])).unwrap();
    let mut polled = watch(folder.path(), "a.json");
    assert_eq!(polled.sent().await, ["1"]);
    fs::write(at("a.json.tmp"), hourly(&["2"])).unwrap();
    fs::rename(at("a.json.tmp"), at("a.json")).unwrap();
    assert_eq!(polled.sent().await, ["2"]);
    // a.json -> ..data/a.json -> ..v1/a.json, then ..data -> ..v2 by rename.
    for (version, price) in [("..v1", "3"), ("..v2", "4")] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("a.json"), hourly(&[price])).unwrap();
    }
    symlink("..v1", at("..data")).unwrap();
    fs::remove_file(at("a.json")).unwrap();
    symlink("..data/a.json", at("a.json")).unwrap();
    assert_eq!(polled.sent().await, ["3"]);
    symlink("..v2", at("..tmp")).unwrap();
    fs::rename(at("..tmp"), at("..data")).unwrap();
    assert_eq!(polled.sent().await, ["4"]);
}

#[tokio::test]
async fn paths_that_lead_out_of_bounds_are_refused() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("secret"), hourly(&["1"])).unwrap();
    symlink(outside.path().join("secret"), folder.path().join("file")).unwrap();
    symlink(outside.path(), folder.path().join("folder")).unwrap();
    for path in ["file", "folder/secret"] {
        let (reason, message) = watch(folder.path(), path).fails().await;
        assert_eq!(reason, "refused", "{message}");
    }
    let here = context(folder.path());
    assert!(refusal("../x.json", &here).contains("holds `..`"));
    assert!(refusal("a/../../x.json", &here).contains("holds `..`"));
    assert!(refusal(".", &here).contains("names no file"));
    assert!(refusal("/", &here).contains("names no file"));
    assert!(check(&file("../x.json", PORSSISAHKO), folder.path()).is_err());
    assert!(check(&file("x.json", PORSSISAHKO), folder.path()).is_ok());
    // A full path is bound by its own folder.
    assert_eq!(watch(folder.path(), outside.path().join("secret")).sent().await, ["1"]);
}

#[tokio::test]
async fn the_secrets_folder_is_out_of_bounds_however_it_is_reached() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = folder.path().join("secrets");
    fs::create_dir(&secrets).unwrap();
    fs::write(secrets.join("key"), hourly(&["1"])).unwrap();
    symlink("secrets/key", folder.path().join("innocent")).unwrap();
    let here = Context { secrets_dir: Some(secrets.clone()), ..context(folder.path()) };
    assert!(refusal("secrets/key", &here).contains("secrets folder"));
    assert!(refusal(secrets.join("key"), &here).contains("secrets folder"));
    let mut linked = Polled::new(build(&file("innocent", PORSSISAHKO), &here).unwrap());
    assert_eq!(linked.fails().await.0, "refused");
}

#[tokio::test]
async fn only_plain_files_of_the_allowed_size_are_read() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("dir")).unwrap();
    let (reason, message) = watch(folder.path(), "dir").fails().await;
    assert_eq!((reason, message.contains("is a folder")), ("refused", true));
    std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
    assert_eq!(watch(folder.path(), "socket").fails().await.0, "refused");
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("pipe")).status();
    assert!(made.unwrap().success());
    assert_eq!(watch(folder.path(), "pipe").fails().await.0, "refused");
    let (reason, message) = watch(folder.path(), "/dev/zero").fails().await;
    assert_eq!((reason, message.contains("device")), ("refused", true));
    fs::write(folder.path().join("big"), vec![b' '; (1 << 20) + 1]).unwrap();
    let (reason, message) = watch(folder.path(), "big").fails().await;
    assert_eq!((reason, message.contains("`maxSize`")), ("too_large", true));
}

#[tokio::test]
async fn a_file_that_may_not_be_read_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    fs::write(&path, hourly(&["1"])).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&path).is_ok() {
        return; // this user may read everything
    }
    let (reason, message) = watch(folder.path(), "a.json").fails().await;
    assert_eq!((reason, message.contains("may not be read")), ("unreadable", true));
}

#[tokio::test]
async fn a_csv_that_is_being_written_is_left_to_settle() {
    let reader = mapping(MappingInput::Csv, r#".[] | {item: .i, price: .p}"#);
    // A writer that this machine lets starve looks as if it were done: one try in ten must do.
    for attempt in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        fs::write(&path, "i,p\n0,0.50\n").unwrap();
        let writer = std::thread::spawn(move || {
            let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
            for n in 1..40 {
                std::thread::sleep(Duration::from_millis(20));
                std::io::Write::write_all(&mut file, format!("{n},{n}.50\n").as_bytes()).unwrap();
            }
        });
        let mut polled = Polled::new(build(&file("a.csv", reader.clone()), &context(folder.path())).unwrap());
        let early = polled.poll().await;
        writer.join().unwrap();
        let settled = match early {
            Err(error) => error.reason == "unreadable",
            Ok(snapshot) => snapshot.unwrap().observations.len() == 40,
        };
        polled.checkpoint = None;
        assert_eq!(polled.poll().await.unwrap().unwrap().observations.len(), 40);
        if settled {
            return;
        }
        assert!(attempt < 9, "half a file was taken each time");
    }
}

#[tokio::test]
async fn a_large_file_is_compared_by_content_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    let padding = " ".repeat(2 << 20);
    let old = SystemTime::now() - Duration::from_secs(3600);
    let write = |price: &str| {
        fs::write(&path, format!("{padding}{}", hourly(&[price]))).unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
    };
    let kind = SourceKind::File { path: "a.json".into(), reader: PORSSISAHKO, max_size: 4 << 20 };
    let mut polled = Polled::new(build(&settings(kind), &context(folder.path())).unwrap());
    write("1");
    assert_eq!(polled.sent().await, ["1"]);
    assert!(polled.poll().await.unwrap().is_none());
    assert!(polled.poll().await.unwrap().is_none());
    // The same length, time and inode, written anew.
    write("2");
    assert_eq!(polled.sent().await, ["2"]);
}

#[tokio::test]
async fn quotes_are_all_sent_again_when_the_file_changes_and_another_mapping_reads_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    let source =
        |jq: &str| build(&file("a.json", mapping(MappingInput::Json, jq)), &context(folder.path())).unwrap();
    fs::write(&path, r#"{"a":1,"b":2}"#).unwrap();
    let mut polled = Polled::new(source("to_entries[] | {item: .key, price: .value}"));
    let first = polled.poll().await.unwrap().unwrap();
    assert!(first.complete);
    assert_eq!(first.observations.iter().map(|o| o.observed_at).collect::<Vec<_>>(), [AT, AT]);
    fs::write(&path, r#"{"a":1,"b":3}"#).unwrap();
    assert_eq!(polled.sent().await, ["1", "3"]);
    assert!(polled.poll().await.unwrap().is_none());
    polled.source = source("{item: \"a\", price: .a}");
    assert_eq!(polled.sent().await, ["1"]);
}

#[test]
fn a_filter_that_cannot_be_compiled_is_told_at_once() {
    let reader = mapping(MappingInput::Json, "{item: .a, price: env.SECRET}");
    let told = check(&file("a.json", reader.clone()), Path::new(".")).unwrap_err().to_string();
    assert!(told.contains("the jq filter uses `env`"), "{told}");
    assert!(build(&file("a.json", reader), &context(Path::new("."))).is_err());
    let ReaderSettings::Format(_) = PORSSISAHKO else { panic!("a format") };
}
