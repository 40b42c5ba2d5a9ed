//! What docs/kubernetes.md, docs/production.md, docs/servers.md and README.md tell people to type about the operator.

use std::fs;
use std::sync::LazyLock;
use std::time::Duration;

use pricemonitor_testkit::kubernetes::{Cluster, Parts};
use pricemonitor_testkit::terminal::Terminal;
use pricemonitor_testkit::wait;
use serde_json::{Value, json};

use crate::{SOON, SYSTEM, database, objects, swap, terminal, text, typed};

/// One for the tests of this file, without the definition; it ends with the process.
static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| {
    let mut cluster = Cluster::start(Parts::Api).unwrap();
    cluster.add_definitions().unwrap();
    cluster.extend_to(Parts::Nodes(2)).unwrap();
    cluster
});

fn at(cluster: &Cluster) -> Terminal {
    let mut terminal = terminal();
    terminal.set("KUBECONFIG", cluster.admin().kubeconfig().display().to_string());
    terminal
}

/// The blocks of a language in a document.
fn blocks<'d>(text: &'d str, language: &str) -> Vec<&'d str> {
    let opening = format!("```{language}\n");
    text.split(opening.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// Both charts, as two documents and README.md have it, one after the other: a second time changes nothing. Then an
/// operator from a build, a sample, and everything that the tables say to do to a monitor.
#[test]
fn everything_about_the_operator_works_as_told() {
    let test = "everything_about_the_operator_works_as_told";
    let [install, build, sample] = typed("docs/kubernetes.md", test);
    let [render] = typed("docs/servers.md", test);
    let troubles = "troubles_on_kubernetes_are_looked_into_as_told";
    let looked: [String; 2] = typed("docs/troubleshooting.md", troubles);
    let [readme] = typed("README.md", test);
    // Not the other test's: here Helm installs the definition.
    let mut cluster = Cluster::start(Parts::Api).unwrap();
    cluster.extend_to(Parts::Nodes(2)).unwrap();
    let terminal = at(&cluster);
    let admin = cluster.admin();
    terminal.run(&install, SOON).unwrap();
    terminal.run(&readme, SOON).unwrap();
    let (definition, run) = build.split_once('\n').unwrap();
    let definition = swap(definition, "apply --server-side", "apply --server-side --force-conflicts");
    terminal.run(&definition, SOON).unwrap();
    let run = run.replace("\\\n", " ");
    let operator = terminal.start(&format!("exec {} --listen 127.0.0.1:0", run.trim())).unwrap();

    admin.apply_all(&[database("default")]).unwrap();
    let (apply, get) = sample.split_once('\n').unwrap();
    terminal.run(apply, SOON).unwrap();
    let ready = "kubectl wait --for=condition=Ready pm/concert-tickets --timeout=110s";
    terminal.run(ready, SOON).unwrap_or_else(|error| panic!("{error}: {}", operator.output().all()));
    let table = terminal.run(get, SOON).unwrap();
    let words: Vec<&str> = table.split_whitespace().collect();
    assert_eq!(words[..6], ["NAME", "READY", "SOURCES", "REASON", "WORKERS", "AGE"]);
    assert_eq!(words[6..11], ["concert-tickets", "True", "marketplace", "AllWorkersReady", "6/6"]);

    let rendered = terminal.run(&render, SOON).unwrap();
    assert!(rendered.contains("concert-tickets-dashboard"), "{rendered}");
    troubles_on_kubernetes_are_looked_into_as_told(&terminal, &looked);
    what_the_tables_say(&cluster, &terminal);
    operator.terminate(Duration::from_secs(20)).unwrap();
}

/// docs/troubleshooting.md, on the same cluster. No container is behind a pod that is played: it has no log.
fn troubles_on_kubernetes_are_looked_into_as_told(terminal: &Terminal, looked: &[String]) {
    crate::without_containers(terminal, "true");
    for block in looked {
        terminal.run(block, SOON).unwrap();
    }
    let asked = fs::read_to_string(terminal.place().at("logs.log")).unwrap();
    let worker = "logs deployment/concert-tickets-processor\n";
    assert_eq!(asked, format!("{worker}--namespace {SYSTEM} logs deployment/pricemonitor-operator\n"));
}

/// Commands in tables of docs/kubernetes.md, in their order, on a monitor of which processors can be counted.
fn what_the_tables_say(cluster: &Cluster, terminal: &Terminal) {
    let monitor = json!({"apiVersion": "pricemonitor.dev/v1alpha1", "kind": "PriceMonitor", "metadata": {"name": "shop", "namespace": "default"},
        "spec": {"sources": [{"name": "market", "simulator": {}}], "kafka": {"partitions": 3}}});
    cluster.admin().apply_all(&[monitor]).unwrap();
    let job = || {
        let jobs = cluster.admin().get(&["jobs", "--selector=app.kubernetes.io/instance=shop"]).unwrap();
        jobs["items"][0]["metadata"]["name"].as_str().map(str::to_owned)
    };
    let job = wait::value("the Job of shop", SOON, job).unwrap();
    terminal.run("kubectl wait --for=condition=Ready pm/shop --timeout=110s", SOON).unwrap();
    let document = text("docs/kubernetes.md");
    let tables = document.lines().filter(|line| line.starts_with("| "));
    let spans = tables.flat_map(|line| line.split('`').skip(1).step_by(2));
    let mut typed = 0;
    for command in spans.filter(|span| span.starts_with("kubectl ") && span.contains("NAME")) {
        let command = command.replace("NAME-setup-...", &job).replace("NAME", "shop");
        terminal.run(&command, SOON).unwrap();
        typed += 1;
    }
    assert!(typed >= 6, "only {typed} commands were found");
    assert!(cluster.admin().get(&["pm", "shop"]).is_err(), "the last one deletes it");
}

#[test]
fn a_production_cluster_is_set_up_as_told() {
    let [install, upgrade] = typed("docs/production.md", "a_production_cluster_is_set_up_as_told");
    let document = text("docs/production.md");
    let values = blocks(&document, "yaml").into_iter().find(|block| block.starts_with("image:\n")).unwrap();
    let terminal = at(&CLUSTER);
    terminal.place().write("values.yaml", values).unwrap();
    terminal.run(&install, SOON).unwrap();
    let admin = CLUSTER.admin();
    let there =
        |kind: &str| admin.get(&[kind, "--namespace", SYSTEM]).unwrap()["items"].as_array().unwrap().len();
    assert_eq!(there("servicemonitors"), 1);
    let deployment = admin.get(&["deployment", crate::OPERATOR, "--namespace", SYSTEM]).unwrap();
    assert_eq!(deployment["status"]["readyReplicas"], 3);

    let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "prices"}});
    admin.apply_all(&[space]).unwrap();
    let monitor = monitor(&document);
    admin.apply(&monitor).unwrap();
    terminal.run(&upgrade, SOON).unwrap();
    let kept = admin.get(&["pm", "tickets", "--namespace=prices"]).unwrap();
    let image = format!(
        "{}:0.1.0",
        deployment["spec"]["template"]["spec"]["containers"][0]["image"]
            .as_str()
            .unwrap()
            .split(':')
            .next()
            .unwrap()
    );
    assert_eq!(kept["spec"]["image"], image);
}

fn monitor(document: &str) -> String {
    let found = blocks(document, "yaml").into_iter().find(|block| block.contains("kind: PriceMonitor\n"));
    found.unwrap().to_owned()
}

#[test]
fn the_overlay_is_applied_as_told() {
    let [text] = typed("docs/production.md", "the_overlay_is_applied_as_told");
    let terminal = at(&crate::CLUSTER);
    // The other tests have applied the definition by another manager.
    let text = swap(&text, "apply --server-side", "apply --server-side --force-conflicts");
    let told = terminal.run(&text, SOON).unwrap();
    assert!(told.contains("deployment.apps/pricemonitor-operator serverside-applied"), "{told}");
}

/// Objects of Strimzi and CloudNativePG, whose definitions are not here: their form is read by kustomize, and the names
/// that must agree are compared.
#[test]
fn names_and_rights_in_the_production_guide_agree() {
    let document = text("docs/production.md");
    let terminal = terminal();
    let foreign: Vec<&str> =
        blocks(&document, "yaml").into_iter().filter(|block| block.starts_with("apiVersion: ")).collect();
    assert_eq!(foreign.len(), 3);
    let mut list = String::from("resources:\n");
    for (number, block) in foreign.iter().enumerate() {
        terminal.place().write(format!("foreign/{number}.yaml"), block).unwrap();
        list += &format!("- {number}.yaml\n");
    }
    terminal.place().write("foreign/kustomization.yaml", list).unwrap();
    let rendered = terminal.run("kubectl kustomize foreign", SOON).unwrap();
    assert_eq!(rendered.matches("\nkind: ").count(), 3, "{rendered}");

    let monitor = objects(crate::CLUSTER.admin(), &space_and(&monitor(&document)));
    let monitor = crate::find(&monitor, "PriceMonitor", "tickets");
    let (namespace, name) = (&monitor["metadata"]["namespace"], &monitor["metadata"]["name"]);
    let id = format!("{}.{}", namespace.as_str().unwrap(), name.as_str().unwrap());
    for kind in ["topic", "group", "transactionalId"] {
        let line = format!("resource: {{type: {kind}, name: {id}, patternType: prefix}}");
        assert!(foreign[0].contains(&line), "{line}");
    }
    let secret = |value: &Value| value.as_str().unwrap().to_owned();
    let kafka = &monitor["spec"]["kafka"];
    assert!(
        foreign[0].contains(&format!("  name: {}\n", secret(&kafka["authentication"]["secretRef"]["name"])))
    );
    assert!(foreign[0].contains("authentication: {type: tls}") && kafka["authentication"]["type"] == "tls");
    // What Strimzi and CloudNativePG call their Secrets and Services: the cluster's name with an ending.
    assert_eq!(kafka["tls"]["caCertificate"]["secretKeyRef"]["name"], "prices-cluster-ca-cert");
    assert_eq!(kafka["bootstrapServers"], "prices-kafka-bootstrap:9093");
    let postgres = &monitor["spec"]["storage"]["postgres"];
    assert_eq!(postgres["secretRef"]["name"], "prices-app");
    assert_eq!(postgres["tls"]["caCertificate"]["secretKeyRef"]["name"], "prices-ca");
    assert!(foreign[0].contains("strimzi.io/cluster: prices}") && foreign[1].contains("  name: prices\n"));
}

/// A namespace for what is tried, which must be there.
fn space_and(object: &str) -> String {
    let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "prices"}});
    crate::CLUSTER.admin().apply_all(&[space]).unwrap();
    object.to_owned()
}

/// README.md and docs/kind.md say the same of kind, so that one test runs both.
#[test]
fn the_readme_says_of_kind_what_the_guide_says() {
    let test = "the_readme_says_of_kind_what_the_guide_says";
    let [readme] = typed("README.md", test);
    let guide = text("docs/kind.md");
    for line in readme.lines() {
        let command = line.split('#').next().unwrap().trim();
        assert!(guide.contains(&format!("\n    {command}\n")), "docs/kind.md does not say `{command}`");
        let script = crate::root().join(command);
        assert!(fs::metadata(&script).is_ok(), "{command}");
    }
}
