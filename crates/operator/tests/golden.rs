//! YAML in, YAML out: every child for every option. `UPDATE=1` writes the files anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use pricemonitor_config::spec::{AuthenticationKind, ObjectRef, PostgresSpec, ResourcesSpec};
use pricemonitor_config::{PriceMonitor, load, read};
use pricemonitor_operator::inputs::{Apis, Running};
use pricemonitor_operator::kinds::CONFIG_MAP;
use pricemonitor_operator::live::{Detail, Live};
use pricemonitor_operator::{
    Child, Children, Defaults, Inputs, Role, children, crd, grafana, rbac, references, yaml,
};
use serde_json::Value;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The file equals what the code makes; with `UPDATE=1` it is written.
fn same(path: &Path, text: &str) {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path, text).unwrap();
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == text,
        "{} is not what the code makes: run `UPDATE=1 cargo test -p pricemonitor-operator` and look at the difference",
        path.display()
    );
}

fn monitor(path: &str) -> PriceMonitor {
    let text = fs::read_to_string(here(path)).unwrap();
    read::read(&text, path).unwrap_or_else(|problems| panic!("{problems}")).remove(0)
}

fn inputs() -> Inputs {
    Inputs {
        defaults: Defaults {
            bootstrap_servers: Some("default-kafka:9092".to_owned()),
            replication_factor: Some(3),
            postgres: Some(PostgresSpec {
                secret_ref: ObjectRef { name: "default-db".to_owned() },
                tls: None,
            }),
            ..Defaults::default()
        },
        worker_image: "pricemonitor:test".to_owned(),
        uid: Some("0a1b2c3d-0000-4000-8000-000000000000".to_owned()),
        references: [(Role::Alert, "aaaa".to_owned())].into(),
        apis: Apis { keda: true, pod_monitor: true },
        ..Inputs::default()
    }
}

fn built(monitor: &PriceMonitor, inputs: &Inputs) -> Children {
    children(monitor, inputs).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn text(children: &Children) -> String {
    let notes = children.notes.iter().map(|note| format!("# note: {note}\n"));
    let list = children.list.iter().map(|child| format!("---\n{}", yaml::document(&child.object)));
    notes.chain(list).collect()
}

/// Pod templates of Deployments and Jobs, by name.
fn templates(children: &Children) -> Vec<(String, String)> {
    let with = children.list.iter().filter(|child| ["Deployment", "Job"].contains(&child.kind()));
    with.map(|child| (child.name().to_owned(), yaml::document(&child.object["spec"]["template"]))).collect()
}

/// Names of the Deployments and Jobs whose template, or name, differs.
fn rolled(before: &Children, after: &Children) -> Vec<String> {
    let before = templates(before);
    templates(after).into_iter().filter(|one| !before.contains(one)).map(|(name, _)| name).collect()
}

fn find<'a>(children: &'a Children, kind: &str, name: &str) -> &'a serde_json::Value {
    let found = children.list.iter().find(|child| child.kind() == kind && child.name() == name);
    &found.unwrap_or_else(|| panic!("no {kind} {name}")).object
}

#[test]
fn each_manifest_leads_to_the_children_that_are_written_down() {
    let without = |mut inputs: Inputs| {
        inputs.defaults = Defaults::default();
        inputs.apis = Apis::default();
        inputs
    };
    for (manifest, inputs) in [
        ("tests/golden/laptop.yaml", inputs()),
        ("tests/golden/everything.yaml", inputs()),
        ("tests/golden/suspended.yaml", inputs()),
        ("../../manifests/samples/tickets.yaml", without(inputs())),
        ("../../manifests/samples/electricity.yaml", without(inputs())),
    ] {
        let name = Path::new(manifest).file_stem().unwrap().to_str().unwrap();
        let out = here(&format!("tests/golden/{name}.children.yaml"));
        same(&out, &text(&built(&monitor(manifest), &inputs)));
    }
}

#[test]
fn keda_is_given_the_names_of_a_certificate_by_which_the_workers_find_it() {
    let mut monitor = monitor("tests/golden/everything.yaml");
    let login = monitor.spec.kafka.as_mut().and_then(|kafka| kafka.authentication.as_mut()).unwrap();
    login.kind = AuthenticationKind::Tls;
    let names = |there: &[&str]| {
        let optional_keys = there.iter().map(|key| ("kafka-user".to_owned(), (*key).to_owned())).collect();
        let children = built(&monitor, &Inputs { optional_keys, ..inputs() });
        let all = children.list.iter().find(|child| child.kind() == "TriggerAuthentication").unwrap();
        let all = all.object["spec"]["secretTargetRef"].as_array().unwrap();
        all.iter().map(|one| one["key"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&[]), ["tls.crt", "tls.key"]);
    assert_eq!(names(&["user.crt", "user.key"]), ["user.crt", "user.key"]);
    assert_eq!(names(&["tls.crt", "tls.key", "user.crt", "user.key"]), ["tls.crt", "tls.key"]);
}

#[test]
fn the_end_of_a_monitor_is_a_job_alone_with_what_it_needs() {
    let children = built(&monitor("tests/golden/everything.yaml"), &Inputs { deleting: true, ..inputs() });
    same(&here("tests/golden/deleting.children.yaml"), &text(&children));
}

#[test]
fn the_definition_in_manifests_is_current() {
    let definition = crd::document().unwrap();
    let head = "# Generated from crates/config and crates/operator by `UPDATE=1 cargo test -p pricemonitor-operator`.\n";
    same(&here("../../manifests/crd.yaml"), &format!("{head}{}", yaml::document(&definition)));
}

const GENERATED: &str =
    "# Generated from crates/operator by `UPDATE=1 cargo test -p pricemonitor-operator`.\n";

#[test]
fn the_definition_in_its_chart_is_current_and_stays_when_the_chart_goes() {
    let mut definition = crd::document().unwrap();
    definition["metadata"]["annotations"] = serde_json::json!({"helm.sh/resource-policy": "keep"});
    let text = yaml::document(&definition);
    // Helm would take it for a template.
    assert!(!text.contains("{{"));
    let path = here("../../charts/pricemonitor-operator-crds/templates/pricemonitors.yaml");
    same(&path, &format!("{GENERATED}{text}"));
}

#[test]
fn what_the_chart_lets_the_operator_do_is_what_it_needs() {
    let chart = here("../../charts/pricemonitor-operator/files");
    let text = |rules: Vec<Value>| format!("{GENERATED}{}", yaml::document(&Value::from(rules)));
    same(&chart.join("rules.yaml"), &text(rbac::rules()));
    same(&chart.join("election-rules.yaml"), &text(rbac::election_rules()));
}

#[test]
fn the_dashboards_in_the_chart_are_current() {
    let chart = here("../../charts/pricemonitor-operator/files/dashboards");
    let text = |dashboard: &Value| format!("{}\n", serde_json::to_string_pretty(dashboard).unwrap());
    same(&chart.join("prices.json"), &text(&grafana::prices(grafana::PRICES, "PriceMonitor / Prices")));
    let pipeline = grafana::pipeline(grafana::PIPELINE, "PriceMonitor / Pipeline", None);
    same(&chart.join("pipeline.json"), &text(&pipeline));
    let operator = grafana::operator(grafana::OPERATOR, "PriceMonitor / Operator");
    same(&chart.join("operator.json"), &text(&operator));
}

#[test]
fn what_a_worker_mounts_is_a_manifest_that_it_accepts() {
    for manifest in ["laptop", "everything", "suspended"] {
        let children = built(&monitor(&format!("tests/golden/{manifest}.yaml")), &inputs());
        let is_manifest = |child: &&Child| child.object["data"]["monitor.yaml"].is_string();
        let maps: Vec<_> = children.list.iter().filter(is_manifest).collect();
        assert!(maps.len() >= 5);
        for map in maps {
            let text = map.object["data"]["monitor.yaml"].as_str().unwrap();
            let monitors = load(text, map.name()).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
            assert_eq!(monitors[0].id.as_str().split('.').next(), Some("shop"));
        }
    }
}

#[test]
fn an_upgrade_of_the_operator_rolls_nothing() {
    let monitor = monitor("tests/golden/laptop.yaml");
    let running = Inputs { running_image: Some("pricemonitor:test".to_owned()), ..inputs() };
    let upgraded = Inputs { worker_image: "pricemonitor:newer".to_owned(), ..running.clone() };
    let (before, after) = (built(&monitor, &inputs()), built(&monitor, &upgraded));
    assert_eq!(before, built(&monitor, &running));
    assert_eq!(before, after);
    // A template that changes here rolls every pod of every cluster: whoever updates this file wants that.
    let all: String =
        templates(&before).iter().map(|(name, text)| format!("---\n# {name}\n{text}")).collect();
    same(&here("tests/golden/pod-templates.yaml"), &all);
    assert!(!all.contains(env!("CARGO_PKG_VERSION")));
}

/// The processor's manifest, as the cluster has it.
fn running(children: &Children) -> Option<Running> {
    children.list.iter().filter(|child| child.kind() == "ConfigMap").find_map(|child| {
        match Live::of(CONFIG_MAP, &child.object) {
            Live { role: Some(Role::Processor), detail: Detail::Manifest(running), .. } => Some(running),
            _ => None,
        }
    })
}

#[test]
fn processors_are_replaced_where_their_generation_is_lost() {
    let monitor = monitor("tests/golden/everything.yaml");
    let before = built(&monitor, &inputs());
    let processor = running(&before);
    assert!(processor.is_some());
    let later = Inputs { epoch: Some(1_795_000_000_000_009), ..inputs() };
    let kept = built(&monitor, &Inputs { processor, ..later.clone() });
    assert_eq!(rolled(&before, &kept), [""; 0]);
    // Somebody has deleted the ConfigMap: a pod that starts later would stop those that run.
    let lost = built(&monitor, &later);
    assert_eq!(rolled(&before, &lost), ["all-processor"]);
    assert_eq!(running(&lost).unwrap().generation, 1_795_000_000_000_009);
}

#[test]
fn a_change_rolls_those_that_it_concerns_and_no_others() {
    let changed = |change: &dyn Fn(&mut PriceMonitor)| {
        let mut after = monitor("tests/golden/everything.yaml");
        let before = built(&after, &inputs());
        change(&mut after);
        // Kubernetes counts every change.
        after.metadata.generation = Some(8);
        let there = Inputs { processor: running(&before), ..inputs() };
        rolled(&before, &built(&after, &there))
    };
    assert_eq!(changed(&|_| {}), [""; 0]);
    assert_eq!(changed(&|m| m.spec.workers.as_mut().unwrap().alert = None), [""; 0]);
    assert_eq!(changed(&|m| m.spec.suspend = true), [""; 0]);
    assert_eq!(changed(&|m| m.spec.kafka.as_mut().unwrap().deletion_policy = None), [""; 0]);
    assert_eq!(changed(&|m| m.spec.rules[1].cooldown = Some("1h".to_owned())), ["all-processor"]);
    assert_eq!(changed(&|m| m.spec.sources[0].interval = Some("9m".to_owned())), ["all-producer"]);
    assert_eq!(changed(&|m| m.spec.channels[1].max_age = Some("2h".to_owned())), ["all-alert"]);
    let retention = changed(&|m| m.spec.storage.as_mut().unwrap().retention = Some("9d".to_owned()));
    assert_eq!(retention, ["all-storage", "all-alert"]);
    assert_eq!(changed(&|m| m.spec.image = Some("x:1".to_owned())).len(), 6);
}

#[test]
fn a_secret_that_changes_rolls_its_role_alone_and_sets_up_anew_where_setup_reads_it() {
    let monitor = monitor("tests/golden/everything.yaml");
    let before = built(&monitor, &inputs());
    let after = |role: Role| {
        let mut inputs = inputs();
        inputs.references.insert(role, "bbbb".to_owned());
        rolled(&before, &built(&monitor, &inputs))
    };
    assert_eq!(after(Role::Alert), ["all-alert"]);
    let setup = after(Role::Setup);
    assert!(setup.len() == 1 && setup[0].starts_with("all-setup-"), "{setup:?}");
    assert!(!templates(&before).iter().any(|(name, _)| *name == setup[0]), "a Job cannot be changed");
}

#[test]
fn a_processor_keeps_its_generation_until_something_that_it_acts_on_changes() {
    let monitor = monitor("tests/golden/laptop.yaml");
    let map = |monitor: &PriceMonitor, inputs: &Inputs| {
        let map = find(&built(monitor, inputs), "ConfigMap", "small-processor").clone();
        let annotations = &map["metadata"]["annotations"];
        let text = |name: &str| annotations[format!("pricemonitor.dev/{name}")].as_str().unwrap().to_owned();
        let loaded = load(map["data"]["monitor.yaml"].as_str().unwrap(), "x").unwrap();
        assert_eq!(loaded[0].generation.to_string(), text("generation"));
        (text("manifest-hash"), loaded[0].generation)
    };
    let (hash, generation) = map(&monitor, &inputs());
    assert_eq!(generation, 3);
    let running = Running { hash: hash.clone(), generation };
    let running = Inputs { processor: Some(running), ..inputs() };
    let mut later = monitor.clone();
    later.metadata.generation = Some(9);
    assert_eq!(map(&later, &running), (hash, 3));
    later.spec.kafka = read::read(
        "apiVersion: pricemonitor.dev/v1alpha1\nkind: PriceMonitor\nmetadata: {name: x}\nspec: {sources: [{name: s, \
         simulator: {}}], kafka: {partitions: 5}}",
        "x",
    )
    .unwrap()
    .remove(0)
    .spec
    .kafka;
    assert_eq!(map(&later, &running).1, 9);
}

#[test]
fn an_autoscaler_owns_the_number_of_pods_and_is_woken_from_zero() {
    let monitor = monitor("tests/golden/everything.yaml");
    let replicas = |inputs: &Inputs, role: &str| {
        find(&built(&monitor, inputs), "Deployment", &format!("all-{role}"))["spec"]["replicas"].as_i64()
    };
    assert_eq!(replicas(&inputs(), "processor"), None);
    assert_eq!(replicas(&inputs(), "producer"), Some(3));
    let resting = Inputs { replicas: [(Role::Processor, 0)].into(), ..inputs() };
    assert_eq!(replicas(&resting, "processor"), Some(2));
    let bare = Inputs { apis: Apis::default(), ..inputs() };
    assert_eq!(replicas(&bare, "processor"), Some(2));
    let notes = built(&monitor, &bare).notes;
    assert!(notes.len() == 1 && notes[0].to_string().contains("no KEDA"), "{notes:?}");
}

#[test]
fn what_a_cluster_cannot_run_is_told_all_at_once_and_nothing_is_built() {
    let mut monitor = monitor("tests/golden/everything.yaml");
    let bare = Inputs { defaults: Defaults::default(), ..inputs() };
    monitor.spec.kafka = None;
    monitor.spec.storage = None;
    monitor.spec.sources[1].file.as_mut().unwrap().volume = None;
    monitor.spec.sources[2].file.as_mut().unwrap().path = "../x".to_owned();
    let limits = [("memory".to_owned(), "1Gi".to_owned())].into();
    let alert = monitor.spec.workers.as_mut().unwrap().alert.as_mut().unwrap();
    alert.resources = Some(ResourcesSpec { limits, ..ResourcesSpec::default() });
    let problems = children(&monitor, &bare).unwrap_err();
    let paths: Vec<&str> = problems.iter().map(|problem| &*problem.path).collect();
    for path in [
        "spec.kafka.bootstrapServers",
        "spec.storage",
        "spec.workers.dashboard.enabled",
        "spec.workers.processor.autoscaling.maxReplicas",
        "spec.workers.alert.resources.requests.cpu",
        "spec.sources[1].file.volume",
        "spec.sources[2].file.path",
    ] {
        assert!(paths.contains(&path), "{path} is not in {paths:?}");
    }
}

#[test]
fn a_log_in_of_the_operator_is_never_sent_to_a_cluster_that_a_monitor_names() {
    let mut inputs = inputs();
    let login = monitor("tests/golden/everything.yaml").spec.kafka.unwrap().authentication;
    inputs.defaults.authentication = login;
    let shown = |path: &str, name: &str| {
        let children = built(&monitor(path), &inputs);
        find(&children, "ConfigMap", name)["data"]["monitor.yaml"].as_str().unwrap().to_owned()
    };
    assert!(shown("tests/golden/laptop.yaml", "small-producer").contains("kafka-user"));
    assert!(!shown("tests/golden/suspended.yaml", "resting-producer").contains("kafka-user"));
}

#[test]
fn each_role_reads_its_own_secrets_and_no_others() {
    let needed = references::needed(&monitor("tests/golden/everything.yaml"), &Defaults::default());
    let names = |role: Role| -> Vec<String> {
        let mark = |one: &references::Reference| if one.optional { "?" } else { "" };
        needed[&role].iter().map(|one| format!("{}/{}{}", one.name, one.key, mark(one))).collect()
    };
    let kafka = ["kafka-user/password", "kafka-user/username", "kafka-ca/ca.crt"];
    assert_eq!(names(Role::Processor), kafka);
    assert_eq!(names(Role::Teardown), kafka);
    assert_eq!(names(Role::Producer), [&kafka[..2], &["web/token"], &kafka[2..]].concat());
    let database = ["dbname", "host", "password", "port?", "user"].map(|key| format!("prices-app/{key}"));
    let database: Vec<&str> = database.iter().map(String::as_str).chain(["prices-ca/ca.crt"]).collect();
    assert_eq!(names(Role::Storage), [&kafka[..2], &database, &kafka[2..]].concat());
    let channels = ["discord/webhook-url?", "hook/sign?", "hook/url?"];
    assert_eq!(names(Role::Alert), [&channels, &kafka[..2], &database, &kafka[2..]].concat());
    assert_eq!(names(Role::Dashboard), [&["page/token"], &database[..]].concat());
}

#[test]
fn names_stay_short_enough_for_labels_and_apart() {
    let mut one = monitor("tests/golden/laptop.yaml");
    one.metadata.name = "a".repeat(63);
    let mut two = one.clone();
    two.metadata.name = format!("{}b", "a".repeat(62));
    let names = |monitor: &PriceMonitor| -> Vec<String> {
        built(monitor, &inputs()).list.iter().map(|child| child.name().to_owned()).collect()
    };
    let (one, two) = (names(&one), names(&two));
    assert!(one.iter().chain(&two).all(|name| name.len() <= 63), "{one:?}");
    assert!(one.iter().all(|name| !two.contains(name)));
}

#[test]
fn every_pod_is_restricted_and_has_no_token() {
    for manifest in ["laptop", "everything", "suspended"] {
        let children = built(&monitor(&format!("tests/golden/{manifest}.yaml")), &inputs());
        for child in children.list.iter().filter(|child| ["Deployment", "Job"].contains(&child.kind())) {
            let spec = &child.object["spec"]["template"]["spec"];
            let container = &spec["containers"][0];
            assert_eq!(spec["automountServiceAccountToken"], false);
            assert_eq!(spec["enableServiceLinks"], false);
            assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
            assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
            assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
            assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
            assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL");
            assert!(container["resources"]["requests"].is_object());
            if child.kind() == "Deployment" {
                for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                    assert_eq!(container[probe]["httpGet"]["port"], "metrics", "{}", child.name());
                }
            }
        }
    }
}
