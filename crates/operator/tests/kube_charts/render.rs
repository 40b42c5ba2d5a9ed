//! What Helm makes of the charts, and what it refuses.

use std::collections::BTreeSet;
use std::path::Path;

use pricemonitor_operator::rbac;
use pricemonitor_testkit::kubernetes::Helm;
use pricemonitor_testkit::place::Place;
use pricemonitor_testkit::prometheus::Promtool;
use serde_json::{Value, json};

use crate::{DEFINITION, OPERATOR, SYSTEM, admin, chart, objects, of_kind, text, values};

/// For each value: another one, as `--set` takes it, and what must then be in what is rendered.
const MATRIX: &[(&str, &str, &str)] = &[
    ("image.repository", "image.repository=r.test/pm", "r.test/pm:"),
    ("image.tag", "image.tag=9.9", "pricemonitor:9.9"),
    ("image.digest", DIGEST, "pricemonitor@sha256:0123456789"),
    ("image.pullPolicy", "image.pullPolicy=Always", "imagePullPolicy: Always"),
    ("imagePullSecrets", "imagePullSecrets[0].name=pull", "- name: pull"),
    ("workerImage", "workerImage=w.test/x:1", "--worker-image=w.test/x:1"),
    ("replicas", "replicas=3", "replicas: 3"),
    ("watchNamespaces", "watchNamespaces={default,kube-system}", "--watch-namespaces=default,kube-system"),
    (
        "defaults.kafka.bootstrapServers",
        "defaults.kafka.bootstrapServers=k:9092\\,l:9092",
        "--bootstrap-servers=k:9092,l:9092",
    ),
    ("defaults.kafka.secret", "defaults.kafka.secret=ks", "--kafka-secret=ks"),
    ("defaults.kafka.caSecret", "defaults.kafka.caSecret=kc", "--kafka-ca-secret=kc"),
    ("defaults.kafka.replicationFactor", "defaults.kafka.replicationFactor=3", "--replication-factor=3"),
    ("defaults.postgres.secret", "defaults.postgres.secret=ps", "--postgres-secret=ps"),
    (
        "defaults.postgres.tlsMode",
        "defaults.postgres.secret=ps,defaults.postgres.tlsMode=require",
        "--postgres-tls-mode=require",
    ),
    ("defaults.postgres.caSecret", "defaults.postgres.caSecret=pc", "--postgres-ca-secret=pc"),
    ("defaults.grafanaDashboards", "defaults.grafanaDashboards=true", "- --grafana-dashboards"),
    ("log.format", "log.format=human", "--log-format=human"),
    ("log.filter", "log.filter=debug", "--log=debug"),
    (
        "serviceAccount.create",
        "serviceAccount.create=false,serviceAccount.name=mine",
        "serviceAccountName: mine",
    ),
    ("serviceAccount.name", "serviceAccount.name=other", "name: other"),
    ("serviceAccount.annotations", "serviceAccount.annotations.who=me", "who: me"),
    ("rbac.create", "rbac.create=false", ""),
    ("resources", "resources.limits.memory=1Gi", "memory: 1Gi"),
    ("podDisruptionBudget.enabled", "podDisruptionBudget.enabled=false", ""),
    ("networkPolicy.enabled", "networkPolicy.enabled=false", ""),
    (
        "networkPolicy.metricsFrom",
        "networkPolicy.metricsFrom[0].podSelector.matchLabels.app=prometheus",
        "app: prometheus",
    ),
    ("metrics.serviceMonitor.enabled", "metrics.serviceMonitor.enabled=true", "kind: ServiceMonitor"),
    (
        "metrics.serviceMonitor.interval",
        "metrics.serviceMonitor.enabled=true,metrics.serviceMonitor.interval=5s",
        "interval: 5s",
    ),
    (
        "metrics.serviceMonitor.labels",
        "metrics.serviceMonitor.enabled=true,metrics.serviceMonitor.labels.release=x",
        "release: x",
    ),
    ("metrics.prometheusRule.enabled", "metrics.prometheusRule.enabled=true", "kind: PrometheusRule"),
    (
        "metrics.prometheusRule.labels",
        "metrics.prometheusRule.enabled=true,metrics.prometheusRule.labels.release=ours",
        "release: ours",
    ),
    (
        "metrics.prometheusRule.namespace",
        "metrics.prometheusRule.enabled=true,metrics.prometheusRule.namespace=kube-system",
        "namespace: kube-system",
    ),
    (
        "metrics.prometheusRule.runbookBase",
        "metrics.prometheusRule.enabled=true,metrics.prometheusRule.runbookBase=https://wiki.test/runs",
        "runbook_url: https://wiki.test/runs#pricemonitorlagging",
    ),
    ("grafana.dashboards.enabled", "grafana.dashboards.enabled=true", "grafana_dashboard: \"1\""),
    (
        "grafana.dashboards.labels",
        "grafana.dashboards.enabled=true,grafana.dashboards.labels.find=me",
        "find: me",
    ),
    (
        "grafana.dashboards.annotations",
        "grafana.dashboards.enabled=true,grafana.dashboards.annotations.folder=x",
        "folder: x",
    ),
    (
        "grafana.dashboards.namespace",
        "grafana.dashboards.enabled=true,grafana.dashboards.namespace=kube-system",
        "namespace: kube-system",
    ),
    ("commonLabels", "commonLabels.team=prices", "team: prices"),
    ("podLabels", "podLabels.mesh=off", "mesh: "),
    ("podAnnotations", "podAnnotations.note=x", "note: x"),
    ("nodeSelector", "nodeSelector.disk=fast", "disk: fast"),
    ("tolerations", "tolerations[0].operator=Exists", "operator: Exists"),
    (
        "affinity",
        "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey=zone",
        "topologyKey: zone",
    ),
    ("topologySpreadConstraints", SPREAD, "topologyKey: zone"),
    (
        "priorityClassName",
        "priorityClassName=system-cluster-critical",
        "priorityClassName: system-cluster-critical",
    ),
    ("terminationGracePeriodSeconds", "terminationGracePeriodSeconds=7", "terminationGracePeriodSeconds: 7"),
    ("podSecurityContext", "podSecurityContext.runAsUser=1234", "runAsUser: 1234"),
    ("securityContext", "securityContext.privileged=false", "privileged: false"),
    ("nameOverride", "nameOverride=short", "app.kubernetes.io/name: short"),
    ("fullnameOverride", "fullnameOverride=whole", "name: whole-election"),
];
const DIGEST: &str = "image.digest=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const SPREAD: &str = "topologySpreadConstraints[0].maxSkew=2,topologySpreadConstraints[0].topologyKey=zone,\
                      topologySpreadConstraints[0].whenUnsatisfiable=DoNotSchedule";

fn rendered(set: &str) -> String {
    let chart = chart(OPERATOR);
    let mut arguments = vec!["template", "release", &chart, "--namespace", "default"];
    if !set.is_empty() {
        arguments.extend(["--set", set]);
    }
    Helm::alone().unwrap().run(&arguments).unwrap()
}

#[test]
fn helm_finds_nothing_to_complain_about() {
    let helm = Helm::alone().unwrap();
    for name in [OPERATOR, DEFINITION] {
        let told = helm.run(&["lint", "--strict", "--quiet", &chart(name)]).unwrap();
        assert!(!told.contains("WARNING"), "{told}");
    }
}

#[test]
fn every_value_does_what_it_says_and_the_api_takes_the_objects() {
    let all = values::read(&text("charts/pricemonitor-operator/values.yaml"));
    let all: BTreeSet<String> = all.into_iter().map(|value| value.path).collect();
    let tried: BTreeSet<String> = MATRIX.iter().map(|(path, _, _)| (*path).to_owned()).collect();
    assert_eq!(all, tried);
    let plain = rendered("");
    for (path, set, wanted) in MATRIX {
        let text = rendered(set);
        assert!(text != plain, "{path} changes nothing");
        assert!(
            text.contains(wanted) && (wanted.is_empty() || !plain.contains(wanted)),
            "{path}: {wanted}\n{text}"
        );
        assert!(!objects(&text).is_empty(), "{path}");
    }
}

#[test]
fn what_the_chart_cannot_know_is_refused_by_its_name() {
    let helm = Helm::alone().unwrap();
    let refused = |set: &str| helm.refused(&["template", "release", &chart(OPERATOR), "--set", set]).unwrap();
    for (set, named) in [
        ("replcias=3", "replcias"),
        ("image.pullpolicy=Always", "pullpolicy"),
        ("replicas=many", "replicas"),
        ("replicas=-1", "replicas"),
        ("defaults.postgres.tlsMode=maybe", "tlsMode"),
        ("defaults.kafka.bootstrapServers=kafka", "bootstrapServers"),
        ("watchNamespaces={Not_One}", "watchNamespaces"),
        ("image.digest=sha256:short", "digest"),
        ("serviceAccount.create=false", "serviceAccount.name"),
        ("log.format=xml", "format"),
        ("metrics.prometheusRule.runbookBase=two words", "runbookBase"),
    ] {
        let told = refused(set);
        assert!(told.contains(named), "{set}: {told}");
    }
    let told = helm.refused(&["template", "release", &chart(DEFINITION), "--set", "keep=false"]).unwrap();
    assert!(told.contains("keep"), "{told}");
}

#[test]
fn roles_are_those_that_the_operator_prints() {
    let all = objects(&rendered(""));
    assert_eq!(of_kind(&all, "ClusterRole")["rules"], json!(rbac::rules()));
    assert_eq!(of_kind(&all, "Role")["rules"], json!(rbac::election_rules()));

    let some = objects(&rendered("watchNamespaces={default,kube-system,default}"));
    assert!(!some.iter().any(|object| object["kind"].as_str().unwrap().starts_with("Cluster")));
    let roles: Vec<(&Value, &Value)> = some
        .iter()
        .filter(|object| {
            object["kind"] == "Role" && object["metadata"]["name"] == "release-pricemonitor-operator"
        })
        .map(|role| (&role["metadata"]["namespace"], &role["rules"]))
        .collect();
    let rules = json!(rbac::rules());
    assert_eq!(roles, [(&json!("default"), &rules), (&json!("kube-system"), &rules)]);
}

#[test]
fn the_rules_that_a_cluster_gets_pass_the_tests_of_the_files() {
    let all = objects(&rendered("metrics.prometheusRule.enabled=true"));
    let (place, mut tests) = (Place::new().unwrap(), Vec::new());
    for file in ["operator", "workers"] {
        let name = format!("release-pricemonitor-operator-{file}");
        let rule = all.iter().find(|one| one["kind"] == "PrometheusRule" && one["metadata"]["name"] == name);
        let groups = json!({"groups": rule.unwrap()["spec"]["groups"]}).to_string();
        place.write(format!("{file}.yaml"), groups).unwrap();
    }
    let folder = crate::root().join("crates/operator/tests/alerts");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let test = std::fs::read_to_string(&path).unwrap();
        let test = test.replace("../../../../charts/pricemonitor-operator/files/alerts/", "../");
        let name = Path::new("tests").join(path.file_name().unwrap());
        tests.push(place.write(name, test).unwrap());
    }
    let told = Promtool::new().unwrap().test_rules(&tests).unwrap();
    assert!(tests.len() > 4 && told.matches("SUCCESS").count() == tests.len(), "{told}");
}

#[test]
fn a_restricted_namespace_takes_the_pods() {
    let space = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: restricted\n  labels: {pod-security.kubernetes.io/enforce: restricted}\n";
    admin().apply(space).unwrap();
    let all = objects(&rendered(""));
    let template = &of_kind(&all, "Deployment")["spec"]["template"];
    let mut pod =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": "restricted"}});
    pod["spec"] = template["spec"].clone();
    pod["spec"]["serviceAccountName"] = json!("default");
    pod["spec"].as_object_mut().unwrap().remove("serviceAccount");
    admin().run(&["create", "--dry-run=server", "-f", "-"], Some(&pod.to_string())).unwrap();
}

#[test]
fn the_plain_manifest_is_what_the_charts_say() {
    let helm = Helm::alone().unwrap();
    let template =
        |name: &str| helm.run(&["template", OPERATOR, &chart(name), "--namespace", SYSTEM]).unwrap();
    let head = "# All that the operator needs: kubectl apply --server-side -f manifests/install.yaml\n\
                # Generated from charts/ by `UPDATE=1 cargo test -p pricemonitor-operator`.\n";
    let space = format!(
        "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: {SYSTEM}\n  labels:\n    \
                         pod-security.kubernetes.io/enforce: restricted\n"
    );
    let told = format!("{head}{space}{}{}", template(DEFINITION), template(OPERATOR));
    let told =
        told.replace("app.kubernetes.io/managed-by: Helm\n", "app.kubernetes.io/managed-by: kubectl\n");
    let lines = told.lines().filter(|line| !line.trim_start().starts_with("helm.sh/chart:"));
    let told: String = lines.map(|line| format!("{}\n", line.trim_end())).collect();
    let path = crate::root().join("manifests/install.yaml");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &told).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == told,
        "manifests/install.yaml is old: run `UPDATE=1 cargo test -p pricemonitor-operator`"
    );
}
