//! What the documents tell people to write is accepted, and what they tell people to type works as told, where it needs
//! no servers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // the helpers of tests

mod common;
#[path = "common/terminal.rs"]
mod terminal;

use std::fs;
use std::path::{Path, PathBuf};

use common::{SOON, manifest, run};
use pricemonitor_testkit::place::{self, Place};
use pricemonitor_testkit::terminal::Terminal;
use pricemonitor_testkit::webhook::{Answer, Receiver};
use pricemonitor_testkit::{documents, http, read, wait};
use terminal::{document, start, stop, swap, terminal, typed};

/// The blocks of a language in a document.
fn blocks<'d>(text: &'d str, language: &str) -> Vec<&'d str> {
    let opening = format!("```{language}\n");
    text.split(opening.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

fn valid(place: &Place, text: &str) {
    let file = place.write("block.yaml", text).unwrap().display().to_string();
    let finished = run(&["validate", "-f", &file]);
    assert_eq!(finished.code(), Some(0), "{}\nin:\n{text}", finished.output.all());
}

#[test]
fn every_manifest_in_the_documents_is_valid_and_so_is_every_part_of_one() {
    let head = "apiVersion: pricemonitor.dev/v1alpha1\nkind: PriceMonitor\nmetadata: {name: part}\nspec:\n";
    let sources = "  sources:\n  - {name: market, simulator: {events: 3}}\n";
    let place = Place::new().unwrap();
    let mut checked = 0;
    for name in ["README.md", "docs/first-steps.md"] {
        for block in blocks(&document(name), "yaml") {
            if block.starts_with("apiVersion:") {
                valid(&place, block);
            } else {
                assert!(block.starts_with("  "), "neither a manifest nor a part of a spec: {block}");
                valid(&place, &format!("{head}{sources}{block}"));
            }
            checked += 1;
        }
    }
    assert!(checked >= 4, "only {checked} blocks were found");
}

#[test]
fn every_example_is_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    assert!(files.len() >= 2);
    for file in files {
        let finished = run(&["validate", "-f", &file.display().to_string()]);
        assert_eq!(finished.code(), Some(0), "{}: {}", file.display(), finished.output.all());
    }
}

#[test]
fn every_option_in_the_documents_is_known() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let mut files: Vec<String> = fs::read_dir(folder).unwrap().map(name_of).collect();
    files.retain(|name| name.ends_with(".md"));
    let mut helps = std::collections::BTreeMap::new();
    let mut checked = 0;
    for name in files.iter().map(|name| format!("docs/{name}")).chain(["README.md".to_owned()]) {
        for line in lines(&document(&name)) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [subcommand, words @ ..] = &words[..] else { continue };
            if !subcommand.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-') {
                continue;
            }
            let deeper = match (*subcommand, words.first()) {
                ("run" | "dead-letters", Some(word)) if !word.starts_with('-') => vec![*subcommand, *word],
                _ => vec![*subcommand],
            };
            let help = helps.entry(deeper.join(" ")).or_insert_with(|| {
                let finished = run(&[&deeper[..], &["--help"]].concat());
                assert_eq!(
                    finished.code(),
                    Some(0),
                    "{name}: `pricemonitor {line}`: {}",
                    finished.output.all()
                );
                finished.output.stdout
            });
            for option in words.iter().filter(|word| word.starts_with("--") && word.len() > 2) {
                let option: String =
                    option.chars().take_while(|it| it.is_ascii_lowercase() || *it == '-').collect();
                let known = help.split_whitespace().any(|word| word.trim_end_matches(',') == option);
                assert!(known, "{name}: there is no `{option}`: pricemonitor {line}");
                checked += 1;
            }
        }
    }
    assert!(checked >= 30, "only {checked} options were found");
}

fn name_of(entry: std::io::Result<fs::DirEntry>) -> String {
    entry.unwrap().file_name().into_string().unwrap()
}

/// What stands behind `pricemonitor ` in the commands of a document and within its text, a command each.
fn lines(text: &str) -> Vec<String> {
    let blocks = documents::commands(text).into_iter().filter(|block| block.said != documents::Said::Shown);
    let blocks: Vec<String> = blocks.map(|block| block.text.replace("\\\n", " ")).collect();
    let within = text.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " "));
    let all = blocks.iter().flat_map(|block| block.lines().map(str::to_owned)).chain(within);
    let end = |line: &str| line.split(['#', '|', '>', '&', ';', '…']).next().unwrap_or_default().to_owned();
    all.filter_map(|line| line.trim().strip_prefix("pricemonitor ").map(end)).collect()
}

#[test]
fn the_readme_works_as_told() {
    let [tickets, electricity, validate] = typed("README.md", "the_readme_works_as_told");
    let (terminal, port) = terminal();
    let rows = || rows(&terminal);
    let up = start(&terminal, &tickets, port);
    wait::until("prices", SOON, || rows() > 0).unwrap();
    assert!(http::get(port, "/").unwrap().body.contains("<html"));
    stop(up);
    let before = rows();
    let up = start(&terminal, &electricity, port);
    wait::until("every slot of the file", SOON, || rows() == before + 96).unwrap();
    stop(up);

    fs::copy(terminal.place().at("examples/tickets.yaml"), terminal.place().at("mine.yaml")).unwrap();
    terminal.run(&validate, SOON).unwrap();
    let wrong = document("examples/tickets.yaml").replace("rules:", "ruels:");
    terminal.place().write("mine.yaml", wrong).unwrap();
    let told = terminal.try_run(&validate, "", SOON).unwrap();
    assert_eq!(told.code(), Some(1));
    assert!(told.output.stderr.contains("ruels") && told.output.stderr.contains("rules"), "{told:?}");
}

#[test]
fn the_first_steps_work_as_told() {
    let [tickets, validate, up, alert, export, health] =
        typed("docs/first-steps.md", "the_first_steps_work_as_told");
    let text = document("docs/first-steps.md");
    let (listings, parts) = (blocks(&text, "json")[0], blocks(&text, "yaml"));
    let (first, port) = terminal();
    let mut market = start(&first, &tickets, port);
    market.wait_until("a change", SOON, |output| output.stdout.contains(" -> ")).unwrap();
    assert_eq!(first.try_run(&health, "", SOON).unwrap().code(), Some(0));
    stop(market);
    assert_eq!(first.try_run(&health, "", SOON).unwrap().code(), Some(3));

    let (mut terminal, port) = terminal();
    terminal.place().write("mine.yaml", parts[0]).unwrap();
    terminal.place().write("listings.json", listings).unwrap();
    let shown = terminal.run(&validate, SOON).unwrap();
    for part in ["2 observations", "a1", "120.00 USD", "section=Floor"] {
        assert!(shown.contains(part), "`{part}` is not in: {shown}");
    }
    let mut mine = start(&terminal, &up, port);
    mine.wait_until("both prices", SOON, |_| rows(&terminal) == 2).unwrap();
    place::replace(&terminal.place().at("listings.json"), listings.replace("120.00", "84.00")).unwrap();
    mine.wait_for("A Band | Balcony | 120.00 -> 84.00 USD (-30.0 %)", SOON).unwrap();
    mine.wait_for(">>> ALERT any-drop: ", SOON).unwrap();
    stop(mine);

    // With the rules and channels of the next steps; the webhook is the test's own.
    let hook = Receiver::start(|_| Answer::status(200)).unwrap();
    let channels = swap(parts[2], "http://127.0.0.1:9999/prices", &hook.url("/prices"));
    let sources = parts[0].split("  rules:\n").next().unwrap();
    terminal.place().write("mine.yaml", format!("{sources}{}{channels}", parts[1])).unwrap();
    let [dry, sent] = alert.lines().collect::<Vec<_>>().try_into().unwrap();
    // The secret of the other channel is not there: that is told, and the exit code says so.
    let told = terminal.try_run(sent, "", SOON).unwrap();
    assert_eq!(told.code(), Some(1));
    assert!(told.output.stderr.contains("PRICEMONITOR_SECRET_DISCORD_URL"), "{}", told.output.stderr);
    assert_eq!(hook.received().len(), 1);
    terminal.set("PRICEMONITOR_SECRET_DISCORD_URL", "https://discord.com/api/webhooks/1/x");
    let shown = terminal.run(dry, SOON).unwrap();
    assert!(shown.contains("hook would get") && shown.contains("discord would get"), "{shown}");
    assert_eq!(hook.received().len(), 1, "shown, not sent");

    let json = terminal.run(&export, SOON).unwrap();
    let csv = fs::read_to_string(terminal.place().at("prices.csv")).unwrap();
    assert!(csv.starts_with("monitor,source,item,"), "{csv}");
    assert!(csv.lines().count() >= 4, "{csv}");
    assert!(json.contains("84.00"), "{json}");
}

/// Prices that `pricemonitor up` has stored in a terminal's folder.
fn rows(terminal: &Terminal) -> i64 {
    let prices = terminal.place().at("data/prices.sqlite");
    read::number(&prices, "SELECT count(*) FROM price_history").unwrap_or(0)
}

#[test]
fn troubles_are_looked_into_as_told() {
    let [first, sample, alert] = typed("docs/troubleshooting.md", "troubles_are_looked_into_as_told");
    let text = document("docs/first-steps.md");
    let (terminal, port) = terminal();
    terminal.place().write("monitor.yaml", blocks(&text, "yaml")[0]).unwrap();
    terminal.place().write("listings.json", blocks(&text, "json")[0]).unwrap();
    fs::copy(terminal.place().at("listings.json"), terminal.place().at("document.json")).unwrap();
    assert!(terminal.run(&sample, SOON).unwrap().contains("2 observations"));
    // Without a process `health` says so; with one all is well.
    let told = terminal.try_run(&first, "", SOON).unwrap();
    assert_eq!(told.code(), Some(3), "{}", told.output.all());
    assert!(told.output.stderr.contains("does not answer"), "{}", told.output.stderr);
    let up = start(&terminal, "pricemonitor up -f monitor.yaml", port);
    terminal.run(&first, SOON).unwrap();
    stop(up);
    let hook = Receiver::start(|_| Answer::status(410)).unwrap();
    let channels = format!("channels: [{{name: hook, webhook: {{url: '{}'}}}}]", hook.url("/"));
    let spec = format!("sources: [{{name: market, simulator: {{}}}}]\n{channels}");
    terminal.place().write("monitor.yaml", manifest("told", &spec)).unwrap();
    let told = terminal.try_run(&alert, "", SOON).unwrap();
    assert_ne!(told.code(), Some(0), "a channel that is gone is told: {}", told.output.all());
    assert!(told.output.all().contains("hook"), "{}", told.output.all());
}

/// Its commands need a public registry; what they name must be there all the same.
#[test]
fn the_guide_to_compose_names_what_is_there() {
    let guide = document("docs/compose.md");
    let (compose, settings) = (document("docker/compose.yaml"), document("docker/.env.example"));
    let blocks: String = documents::commands(&guide).into_iter().map(|block| block.text).collect();
    let commands: Vec<&str> = blocks.lines().collect();
    assert!(commands.len() >= 7, "{commands:#?}");
    let mut services = 0;
    for command in commands {
        let words: Vec<&str> = command.split_whitespace().collect();
        assert_eq!(words[..4], ["docker", "compose", "-f", "docker/compose.yaml"], "{command}");
        for (at, word) in words.iter().enumerate().skip(4) {
            match words[at - 1] {
                "--profile" => assert!(compose.contains(&format!("profiles: [{word}]")), "{command}"),
                "--force-recreate" => {
                    for service in &words[at..] {
                        assert!(
                            compose.contains(&format!("\n  {service}: "))
                                || compose.contains(&format!("\n  {service}:\n")),
                            "{service}"
                        );
                        services += 1;
                    }
                }
                "--scale" | "--follow" => {
                    let service = word.split('=').next().unwrap();
                    assert!(compose.contains(&format!("\n  {service}:\n")), "{command}");
                }
                _ => {}
            }
        }
    }
    assert_eq!(services, 5);
    let mut ports = 0;
    for port in guide.split("localhost:").skip(1) {
        let port: String = port.chars().take_while(char::is_ascii_digit).collect();
        assert!(compose.contains(&format!("_PORT:-{port}}}:")), "{port} is not published");
        ports += 1;
    }
    assert!(ports >= 6, "{ports}");
    let capitals =
        |span: &&str| span.len() > 5 && span.chars().all(|it| it.is_ascii_uppercase() || it == '_');
    let names: Vec<&str> = guide.split(['`', '=']).filter(capitals).collect();
    assert!(names.len() >= 8, "{names:?}");
    for name in names {
        assert!(settings.contains(&format!("{name}=")), "docker/.env.example has no {name}");
    }
}

#[test]
fn channels_are_tried_as_told() {
    let [tried, secret] = typed("docs/channels.md", "channels_are_tried_as_told");
    let hook = Receiver::start(|_| Answer::status(200)).unwrap();
    let (terminal, _) = terminal();
    let channels = format!("channels: [{{name: hook, webhook: {{url: '{}'}}}}]", hook.url("/"));
    let spec = format!("sources: [{{name: market, simulator: {{}}}}]\n{channels}");
    terminal.place().write("monitor.yaml", manifest("told", &spec)).unwrap();
    terminal.run(&tried, SOON).unwrap();
    assert_eq!(hook.received().len(), 1, "one was shown, one was sent");
    terminal.try_run(&secret, "https://discord.example/api/webhooks/1/x\n", SOON).unwrap();
    let kept = fs::read_to_string(terminal.place().at("secrets/discord/url")).unwrap();
    assert_eq!(kept, "https://discord.example/api/webhooks/1/x\n");
}
