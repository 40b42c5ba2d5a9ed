//! manifests/kind and docs/kind.md: the script runs for real, with kubectl and Helm, on a real API server. kind and
//! docker are stand-ins, because neither a registry nor nested containers are to be had everywhere; so are the nodes.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use pricemonitor_testkit::kubernetes::{Cluster, Parts};
use pricemonitor_testkit::process::Process;
use pricemonitor_testkit::prometheus::Promtool;
use pricemonitor_testkit::terminal::Terminal;
use pricemonitor_testkit::{server, wait};
use serde_json::{Value, json};

use crate::{OPERATOR, SOON, SYSTEM, find, objects, operate, swap, terminal, text, typed};

/// All of the script, with a debug build on a busy machine.
const SCRIPT: Duration = Duration::from_secs(400);

/// It stands in for docker: it takes what is there to be built for built.
const DOCKER: &str = r#"
echo "$*" >> docker.log
case "$1" in
info) ;;
build) [ "$2 $4" = "--file --tag" ] && [ -f "$3" ] && [ -d "$6" ] ;;
*) exit 64 ;;
esac"#;

/// It stands in for kind: the cluster is the test's.
const KIND: &str = r#"
echo "$*" >> kind.log
case "$1 $2" in
"get clusters") cat clusters 2>/dev/null || true ;;
"create cluster")
    [ "$3 $5" = "--name --config" ] && [ -f "$6" ]
    echo "$4" > clusters
    cp given.kubeconfig "$KUBECONFIG" ;;
"export kubeconfig") cp given.kubeconfig "$KUBECONFIG" ;;
"load docker-image") [ "$4" = "--name" ] && grep -qx "$5" clusters ;;
"delete cluster") rm clusters "$KUBECONFIG" ;;
*) exit 64 ;;
esac"#;

/// The script ends with the forward of the page and takes Grafana's along, which may not have begun by then: each waits
/// for the other, as one that forwards would outlast it.
const BOTH_FORWARDED: &str = r#"
tries=0
until [ "$(wc -l < forward.log)" -ge 2 ] || [ "$tries" -ge 100 ]; do
    sleep 0.1
    tries=$((tries + 1))
done"#;

/// A terminal with the stand-ins, and the cluster that kind would make.
fn at(cluster: &Cluster) -> Terminal {
    let mut terminal = terminal();
    crate::without_containers(&terminal, BOTH_FORWARDED);
    terminal.stand_in("docker", DOCKER).unwrap();
    terminal.stand_in("kind", KIND).unwrap();

    // As kind writes it, but for the current cluster: the script must say which one it means.
    let mut config: Value =
        serde_json::from_str(&fs::read_to_string(cluster.admin().kubeconfig()).unwrap()).unwrap();
    config["contexts"][0]["name"] = json!("kind-pricemonitor");
    config["current-context"] = json!("");
    terminal.place().write("given.kubeconfig", config.to_string()).unwrap();
    let kubeconfig = terminal.place().at("kubeconfig").display().to_string();
    terminal.set("KUBECONFIG", kubeconfig);
    terminal
}

/// What kind's node has and a node that is played has not: volumes for those who claim them.
fn volumes(cluster: &Cluster) {
    let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "kubernetes.io/no-provisioner",
        "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}});
    let volume = |name: &str| {
        json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": {
            "capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "standard",
            "hostPath": {"path": "/nowhere"}, "persistentVolumeReclaimPolicy": "Retain"}})
    };
    cluster.admin().apply_all(&[class, volume("one"), volume("two")]).unwrap();
}

fn log(terminal: &Terminal, name: &str) -> String {
    fs::read_to_string(terminal.place().at(name)).unwrap_or_default()
}

#[test]
fn the_script_for_kind_brings_everything_up_again_and_takes_it_away() {
    let [up, look, again, discord, down] =
        typed("docs/kind.md", "the_script_for_kind_brings_everything_up_again_and_takes_it_away");
    let cluster = Cluster::start(Parts::Nodes(1)).unwrap();
    volumes(&cluster);
    let mut terminal = at(&cluster);
    let script = terminal.start(&up).unwrap();
    let operator = operate(&cluster, SYSTEM);
    let finished = script.wait(SCRIPT).unwrap();
    assert_eq!(finished.code(), Some(0), "{}\n{}", finished.output.all(), operator.output().all());
    let told = finished.output.stdout;
    assert!(told.contains("AllWorkersReady") && told.contains("http://localhost:8501"), "{told}");
    one_image(&cluster, &terminal);
    what_is_forwarded_is_there(&cluster, &terminal);
    what_is_mounted_is_there(&cluster);
    for namespace in ["prices", SYSTEM] {
        let may = [
            "auth",
            "can-i",
            "watch",
            "pods",
            "--namespace",
            namespace,
            "--as=system:serviceaccount:prices:prometheus",
        ];
        cluster.admin().run(&may, None).unwrap_or_else(|error| panic!("Prometheus finds no pods: {error}"));
    }

    let use_it = "kubectl config use-context kind-pricemonitor";
    terminal.run(&format!("{use_it}\n{look}"), SOON).unwrap();

    // Once more: nothing is made twice, and the database keeps its password.
    let secret =
        || cluster.admin().get(&["secret", "prices-app", "--namespace=prices"]).unwrap()["data"].clone();
    let before = secret();
    terminal.run(&again, SCRIPT).unwrap();
    assert_eq!(secret(), before);
    assert_eq!(log(&terminal, "kind.log").matches("create cluster").count(), 1);
    terminal
        .run(&swap(&discord, "https://discord.com/api/webhooks/...", "https://d.test/1"), SCRIPT)
        .unwrap();
    let kept = cluster.admin().get(&["secret", "discord", "--namespace=prices"]).unwrap();
    assert_eq!(kept["data"]["url"], "aHR0cHM6Ly9kLnRlc3QvMQ==");

    terminal.run(&down, SOON).unwrap();
    assert!(log(&terminal, "kind.log").ends_with("delete cluster --name pricemonitor\n"));
    assert!(terminal.run("manifests/kind/down.sh", SOON).unwrap().contains("there is no kind cluster"));
    terminal.set("CLUSTER", "other");
    assert!(terminal.run("manifests/kind/down.sh", SOON).unwrap().contains("there is no kind cluster other"));
    end(operator);
}

fn what_is_forwarded_is_there(cluster: &Cluster, terminal: &Terminal) {
    let log = log(terminal, "forward.log");
    let mut forwarded: Vec<&str> = log.lines().collect();
    forwarded.sort_unstable();
    let wanted = [("concert-tickets-dashboard", 8501), ("grafana", 3000)];
    assert_eq!(forwarded.len(), wanted.len(), "{log}");
    for (line, (service, port)) in forwarded.into_iter().zip(wanted) {
        let said = format!(
            "--context kind-pricemonitor --namespace prices port-forward service/{service} {port}:{port}"
        );
        assert_eq!(line, said);
        let found = cluster.admin().get(&["service", service, "--namespace=prices"]).unwrap();
        assert_eq!(found["spec"]["ports"][0]["port"], port);
    }
}

/// Pods that are played start without their volumes: every ConfigMap must be there, with what lies in its folder.
fn what_is_mounted_is_there(cluster: &Cluster) {
    let read = |kind: &str, name: &str| cluster.admin().get(&[kind, name, "--namespace=prices"]).unwrap();
    let mut mounted = Vec::new();
    for name in ["grafana", "prometheus"] {
        let deployment = read("deployment", name);
        for volume in deployment["spec"]["template"]["spec"]["volumes"].as_array().unwrap() {
            if let Some(map) = volume["configMap"]["name"].as_str() {
                mounted.push(map.to_owned());
                assert!(
                    read("configmap", map)["data"].as_object().is_some_and(|data| !data.is_empty()),
                    "{map}"
                );
            }
        }
    }
    mounted.sort_unstable();
    let all = [
        "grafana-dashboards",
        "grafana-datasources",
        "grafana-providers",
        "prometheus-config",
        "prometheus-rules",
    ];
    assert_eq!(mounted, all);
    let dashboards =
        fs::read_dir(crate::root().join("charts/pricemonitor-operator/files/dashboards")).unwrap();
    assert_eq!(
        read("configmap", "grafana-dashboards")["data"].as_object().unwrap().len(),
        dashboards.count()
    );
    // What Grafana's data source and its folder of dashboards say is what is mounted and called here.
    let sources = text("docker/grafana/provisioning/datasources/pricemonitor.yaml");
    assert!(sources.contains("url: http://prometheus:9090"), "{sources}");
    assert_eq!(read("service", "prometheus")["spec"]["ports"][0]["port"], 9090);
    let grafana = read("deployment", "grafana");
    let container = &grafana["spec"]["template"]["spec"]["containers"][0];
    for variable in sources.split("${").skip(1).map(|rest| rest.split('}').next().unwrap()) {
        let known = container["env"].as_array().unwrap().iter().any(|it| it["name"] == variable);
        assert!(known, "Grafana has no variable {variable}");
    }
    let path = text("docker/grafana/provisioning/dashboards/pricemonitor.yaml");
    let path = path.lines().find_map(|line| line.trim().strip_prefix("path: ")).unwrap().to_owned();
    let home = |it: &&Value| it["name"] == "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH";
    let home = &container["env"].as_array().unwrap().iter().find(home).unwrap()["value"];
    let home = home.as_str().and_then(|home| home.strip_prefix(&format!("{path}/"))).unwrap();
    assert!(read("configmap", "grafana-dashboards")["data"][home].is_string(), "{home}");
    let mounts = container["volumeMounts"].as_array().unwrap();
    assert!(mounts.iter().any(|mount| mount["mountPath"] == path && mount["name"] == "dashboards"), "{path}");
}

/// What is built is what is put into the node, and what operator and workers run.
fn one_image(cluster: &Cluster, terminal: &Terminal) {
    let built = log(terminal, "docker.log");
    let image = built.lines().find_map(|line| line.strip_prefix("build --file docker/Dockerfile --tag "));
    let image = image.and_then(|rest| rest.strip_suffix(" .")).unwrap_or_else(|| panic!("{built}"));
    let loaded = format!("load docker-image {image} --name pricemonitor\n");
    assert!(log(terminal, "kind.log").contains(&loaded), "{}", log(terminal, "kind.log"));
    let runs = |namespace: &str, name: &str| {
        let found = cluster.admin().get(&["deployment", name, "--namespace", namespace]).unwrap();
        found["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    };
    assert_eq!(runs(SYSTEM, OPERATOR), image);
    for role in ["producer", "processor", "storage", "alert", "dashboard"] {
        assert_eq!(runs("prices", &format!("concert-tickets-{role}")), image);
    }
}

fn end(operator: Process) {
    operator.terminate(Duration::from_secs(20)).unwrap();
}

#[test]
fn a_program_that_is_missing_is_named_with_where_to_get_it() {
    let terminal = terminal();
    let all = ["docker", "kind", "kubectl", "helm"];
    for missing in all {
        let folder = format!("without-{missing}");
        for name in all.iter().filter(|name| **name != missing) {
            let link = terminal.place().at(&folder).join(name);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink("/bin/true", link).unwrap();
        }
        let sh = format!("PATH=\"$PWD/{folder}\" /bin/sh manifests/kind/up.sh");
        let finished = terminal.try_run(&sh, "", SOON).unwrap();
        assert_eq!(finished.code(), Some(1), "{}", finished.output.all());
        let told = &finished.output.stderr;
        assert!(
            told.starts_with(&format!("error: {missing} is missing: install it, see https://")),
            "{told}"
        );
    }
    let told = terminal.try_run("manifests/kind/up.sh --no-foward", "", SOON).unwrap();
    assert_eq!(told.code(), Some(1));
    assert!(told.output.stderr.contains("`--no-foward` is not known"), "{}", told.output.stderr);
    terminal.run("manifests/kind/up.sh --help | grep -q no-forward", SOON).unwrap();
}

#[test]
fn a_docker_that_does_not_answer_is_told_and_nothing_is_begun() {
    let terminal = terminal();
    terminal.stand_in("docker", "exit 1").unwrap();
    terminal.stand_in("kind", "echo \"$*\" >> kind.log").unwrap();
    let told = terminal.try_run("manifests/kind/up.sh", "", SOON).unwrap();
    assert_eq!(told.code(), Some(1));
    assert!(told.output.stderr.contains("docker does not answer"), "{}", told.output.stderr);
    assert_eq!(log(&terminal, "kind.log"), "");
}

/// What stands in the background of a shell does not hear Ctrl-C.
#[test]
fn ctrl_c_ends_both_forwards() {
    let terminal = terminal();
    for name in ["docker", "kind", "helm"] {
        terminal.stand_in(name, "").unwrap();
    }
    let forward = "case \"$*\" in *port-forward*) echo $$ >> pids; exec sleep 100 ;; *\"filename -\") cat > /dev/null ;; esac";
    terminal.stand_in("kubectl", forward).unwrap();
    let script = terminal.start("exec manifests/kind/up.sh").unwrap();
    let mut pids = Vec::new();
    wait::until("both forwards", SOON, || {
        pids = log(&terminal, "pids").lines().map(|pid| pid.parse().unwrap()).collect();
        pids.len() == 2
    })
    .unwrap();
    let finished = script.interrupt(Duration::from_secs(10)).unwrap();
    assert_eq!(finished.code(), Some(0), "{}", finished.output.all());
    wait::until("both to end", SOON, || !pids.iter().any(|pid| server::is_running(*pid))).unwrap();
}

#[test]
fn prometheus_takes_its_configuration_and_rules() {
    let rendered = text("manifests/kind/prometheus.yaml");
    crate::CLUSTER.admin().apply(&text("manifests/kind/namespace.yaml")).unwrap();
    let all = objects(
        crate::CLUSTER.admin(),
        &rendered.replace("\nmetadata:\n", "\nmetadata:\n  namespace: prices\n"),
    );
    let config = find(&all, "ConfigMap", "prometheus-config")["data"]["prometheus.yml"].as_str().unwrap();
    let terminal = terminal();
    let rules = terminal.place().at("charts/pricemonitor-operator/files/alerts");
    let config = swap(config, "/etc/prometheus/alerts", &rules.display().to_string());
    // Debian's Prometheus is built without what finds pods: something else stands in for that part alone.
    let finds = "kubernetes_sd_configs:\n  - role: pod\n    namespaces:\n      names: [prices, pricemonitor-system]\n";
    let config = swap(&config, finds, "static_configs:\n  - targets: [localhost:9464]\n");
    let file = terminal.place().write("prometheus.yml", config).unwrap();
    let told = Promtool::new().unwrap().check_config(&file).unwrap();
    assert!(told.contains("rules found"), "{told}");
}

#[test]
fn the_scripts_are_scripts_for_any_shell() {
    for name in ["up", "down"] {
        let script = text(&format!("manifests/kind/{name}.sh"));
        assert!(script.starts_with("#!/bin/sh\n") && script.contains("\nset -eu\n"), "{name}");
        terminal().run(&format!("sh -n manifests/kind/{name}.sh"), SOON).unwrap();
    }
}

#[test]
fn the_sample_finds_kafka_and_postgresql_by_the_names_of_their_services() {
    let cluster = &*crate::CLUSTER;
    let space = text("manifests/kind/namespace.yaml");
    cluster.admin().apply(&space).unwrap();
    let rendered = terminal().run("kubectl kustomize manifests/kind", SOON).unwrap();
    let all = objects(cluster.admin(), &rendered);
    let monitor = find(&all, "PriceMonitor", "concert-tickets");
    assert_eq!(monitor["metadata"]["namespace"], "prices");

    let bootstrap = monitor["spec"]["kafka"]["bootstrapServers"].as_str().unwrap();
    let (host, port) = bootstrap.split_once(':').unwrap();
    assert_eq!(find(&all, "Service", host)["spec"]["ports"][0]["port"].to_string(), port);
    let broker = &find(&all, "StatefulSet", "kafka")["spec"]["template"]["spec"]["containers"][0];
    let says = broker["env"].as_array().unwrap().iter().find(|it| it["name"] == "KAFKA_ADVERTISED_LISTENERS");
    assert_eq!(says.unwrap()["value"], "PLAINTEXT://kafka.prices.svc.cluster.local:9092");

    // What the script writes into the Secret is what the Service and the server are called.
    let storage = &monitor["spec"]["storage"]["postgres"];
    let script = text("manifests/kind/up.sh");
    let secret = storage["secretRef"]["name"].as_str().unwrap();
    assert!(script.contains(&format!("metadata: {{name: {secret}, namespace: $NAMESPACE}}")), "{secret}");
    let service = find(&all, "Service", "postgres");
    let port = &service["spec"]["ports"][0]["port"];
    assert!(script.contains("  host: postgres\n") && script.contains(&format!("  port: \"{port}\"\n")));
    let server = &find(&all, "StatefulSet", "postgres")["spec"]["template"]["spec"]["containers"][0];
    for variable in server["env"].as_array().unwrap() {
        assert_eq!(variable["valueFrom"]["secretKeyRef"]["name"], secret);
        let key = variable["valueFrom"]["secretKeyRef"]["key"].as_str().unwrap();
        assert!(script.contains(&format!("\n  {key}: ")), "{key}");
    }
    // The server has no certificate, and says so to nobody but itself.
    assert_eq!(storage["tls"]["mode"], "disable");
}

#[test]
fn the_images_are_those_of_the_composition() {
    let compose = text("docker/compose.yaml");
    for name in ["kafka", "postgres", "prometheus", "grafana"] {
        let manifest = text(&format!("manifests/kind/{name}.yaml"));
        let image = manifest.lines().find_map(|line| line.trim().strip_prefix("image: ")).unwrap();
        assert!(
            compose.contains(&format!(":-{image}}}")),
            "docker/compose.yaml has another image than {image}"
        );
    }
}
