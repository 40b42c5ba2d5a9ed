//! A real node, the servers that its pods reach, the operator, and the monitor that it looks after.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use pricemonitor_operator::rbac::{self, Account};
use pricemonitor_testkit::docker::{self, Engine};
use pricemonitor_testkit::image::Image;
use pricemonitor_testkit::kafka::{self, Kafka};
use pricemonitor_testkit::kubernetes::Kubectl;
use pricemonitor_testkit::kubernetes::node::RealNode;
use pricemonitor_testkit::place::Place;
use pricemonitor_testkit::postgres::{self, Postgres};
use pricemonitor_testkit::process::Process;
use pricemonitor_testkit::webhook::{Answer, Receiver};
use pricemonitor_testkit::{http, wait};
use serde_json::{Value, json};

/// Longest wait for anything that should happen soon.
pub(crate) const SOON: Duration = Duration::from_secs(90);
pub(crate) const MONITOR: &str = "concert-tickets";
/// Namespace of the monitor.
const SHOP: &str = "tickets";
/// Namespace of the operator.
const SYSTEM: &str = "pricemonitor-system";
/// As the operator and the manifest name it.
const IMAGE: &str = docker::IMAGE;

/// The image as `docker/Dockerfile` has it, saved.
fn built(place: &Place) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (engine, archive) = (Engine::here().unwrap(), place.at("image.tar"));
    engine.build(&root).unwrap();
    engine.save(IMAGE, &archive).unwrap();
    archive
}

/// Where no container engine can be had: the program of this build and what it is linked to.
fn assembled() -> Image {
    let image = Image::new(&format!("docker.io/library/{IMAGE}")).user("65532:65532");
    image.with_program(&program(), "/usr/local/bin/pricemonitor").unwrap()
}

pub(crate) struct Ground {
    // Before the servers and the node, for when a test fails.
    operator: Option<Process>,
    receiver: Receiver,
    kafka: Kafka,
    postgres: Postgres,
    place: Place,
    node: RealNode,
}

impl Ground {
    pub(crate) fn new() -> Ground {
        let place = Place::new().unwrap();
        // One machine apart after the other.
        let archive = docker::obstacle().is_none().then(|| built(&place));
        let node = RealNode::start().unwrap();
        match archive {
            Some(archive) => node.import(&archive).unwrap(),
            None => node.load(&assembled()).unwrap(),
        }
        let also_at = Some(node.host());
        let kafka = Kafka::start(&kafka::Options { also_at, ..Default::default() }).unwrap();
        let postgres =
            Postgres::start(&postgres::Options { secure: true, also_at, ..Default::default() }).unwrap();
        let receiver = Receiver::start_at(node.host(), |_| Answer::status(204)).unwrap();
        let mut ground = Ground { operator: None, receiver, kafka, postgres, place, node };
        ground.prepare();
        ground
    }

    fn admin(&self) -> &Kubectl {
        self.node.cluster().admin()
    }

    /// What an administrator of the cluster brings: definition, operator, namespace, names of servers, Secrets.
    fn prepare(&mut self) {
        let admin = self.admin();
        admin.apply(&text("../../manifests/crd.yaml")).unwrap();
        wait::until("the API to serve monitors", SOON, || admin.get(&["pricemonitors"]).is_ok()).unwrap();
        let restricted = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let space = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": restricted}});
        let account =
            Account { namespace: SYSTEM.to_owned(), name: "operator".to_owned(), watch: Vec::new() };
        let secret = |name: &str, data: Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": SHOP}, "stringData": data});
        let secure = self.postgres.secure().unwrap();
        let database = json!({"host": "postgres", "dbname": secure.database,
                              "user": secure.user, "password": secure.password});
        let mut all = vec![space(SYSTEM), space(SHOP), secret("prices-app", database)];
        all.push(secret("hook", json!({"url": self.receiver.url("/drops")})));
        all.extend(rbac::documents(&account));
        all.extend(service("kafka", 9092, self.kafka.outer().unwrap()));
        all.extend(service("postgres", 5432, SocketAddrV4::new(self.node.host(), self.postgres.port())));
        admin.apply_all(&all).unwrap();
        self.operator = Some(self.start_operator());
    }

    /// Under its own account, in all namespaces.
    fn start_operator(&self) -> Process {
        let account = self.node.cluster().account(SYSTEM, "operator").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_pricemonitor-operator"));
        command.args(["run", "--listen=127.0.0.1:0", "--log-format=human"]);
        command.args([format!("--worker-image={IMAGE}"), format!("--lease-namespace={SYSTEM}")]);
        command.arg("--log=warn,pricemonitor_operator=debug");
        Process::start(command.env("KUBECONFIG", account.kubeconfig()).env_remove("RUST_LOG")).unwrap()
    }

    pub(crate) fn apply(&self) {
        self.admin().run(&["apply", "-f", "-"], Some(&manifest())).unwrap();
    }

    /// Waits until the monitor is ready, as somebody at a terminal would.
    pub(crate) fn until_ready(&self) {
        let wait = ["wait", "--for=condition=Ready", "pm", MONITOR, "--namespace", SHOP, "--timeout=140s"];
        self.admin().run(&wait, None).unwrap_or_else(|error| panic!("{error}\n{}", self.story()));
    }

    /// Waits until all pods of a role are at work.
    pub(crate) fn until_rolled_out(&self, role: &str) {
        let deployment = format!("deployment/{MONITOR}-{role}");
        let status = ["rollout", "status", &deployment, "--namespace", SHOP, "--timeout=140s"];
        self.admin().run(&status, None).unwrap_or_else(|error| panic!("{error}\n{}", self.story()));
    }

    /// Names of a role's pods that are not on their way out.
    pub(crate) fn pods(&self, role: &str) -> Vec<String> {
        let selector = format!("--selector=app.kubernetes.io/component={role}");
        let pods = self.list(&["pods", &selector]);
        let stays = |pod: &&Value| pod["metadata"]["deletionTimestamp"].is_null();
        pods.iter().filter(stays).map(name).collect()
    }

    /// Names of all workers' pods, also of those that are on their way out.
    pub(crate) fn all_pods(&self) -> Vec<String> {
        let selector = "--selector=app.kubernetes.io/component,app.kubernetes.io/component!=setup";
        self.list(&["pods", selector]).iter().map(name).collect()
    }

    fn list(&self, what: &[&str]) -> Vec<Value> {
        let all = self.admin().get(&[what, &["--namespace", SHOP]].concat()).unwrap();
        all["items"].as_array().unwrap().clone()
    }

    /// The promises about pods, on pods that run with them.
    pub(crate) fn every_pod_is_locked_up(&self) {
        let pods = self.list(&["pods", "--selector=app.kubernetes.io/component"]);
        // The Job's, producer, processor, two of storage, alert and the page.
        assert_eq!(pods.len(), 7, "{}", self.story());
        for pod in &pods {
            let spec = &pod["spec"];
            let locked = &spec["containers"][0]["securityContext"];
            assert_eq!(spec["securityContext"]["runAsUser"], 65_532);
            assert_eq!(locked["readOnlyRootFilesystem"], true);
            assert_eq!(locked["capabilities"]["drop"], json!(["ALL"]));
            assert_eq!(spec["automountServiceAccountToken"], false);
            assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0, "{}", self.story());
        }
    }

    pub(crate) fn delete_pod(&self, pod: &str, how: &str) {
        self.admin().run(&["delete", "pod", pod, "--namespace", SHOP, how], None).unwrap();
        println!("deleted {pod}");
    }

    fn rows(&self) -> i64 {
        let database = self.postgres.secure().unwrap().database;
        let count = "SELECT count(*) FROM price_history";
        self.postgres.rows_in(database, count).unwrap()[0][0].parse().unwrap()
    }

    /// The history goes on.
    pub(crate) fn grows(&self) {
        let goal = self.rows() + 50;
        wait::until("fifty more rows", SOON, || self.rows() >= goal)
            .unwrap_or_else(|error| panic!("{error}\n{}", self.story()));
    }

    /// Alerts go on arriving at the webhook.
    pub(crate) fn is_told(&self) {
        let before = self.receiver.received().len();
        wait::until("an alert at the webhook", SOON, || self.receiver.received().len() > before)
            .unwrap_or_else(|error| panic!("{error}\n{}", self.story()));
        let last = self.receiver.received().pop().unwrap();
        let alert: Value = serde_json::from_str(&last.body).unwrap();
        assert_eq!((&alert["monitor"], &*last.path), (&json!(format!("{SHOP}.{MONITOR}")), "/drops"));
    }

    /// No pod that sends was deleted: none may be sent twice.
    pub(crate) fn is_told_each_alert_once(&self) {
        let received = self.receiver.received();
        let ids: BTreeSet<_> = received.iter().map(|one| one.id.clone().unwrap()).collect();
        assert_eq!(ids.len(), received.len(), "an alert came twice");
    }

    /// By the name of its Service, and by no other.
    pub(crate) fn page_answers(&self) {
        let pods = self.list(&["pods", "--selector=app.kubernetes.io/component=dashboard"]);
        let address = pods[0]["status"]["podIP"].as_str().unwrap();
        let at = format!("{address}:9464").parse().unwrap();
        let get = |host: &str| {
            let raw = format!("GET /api/v1/statistics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            http::request_at(at, &raw).unwrap()
        };
        let statistics = get(&format!("{MONITOR}-dashboard.{SHOP}.svc"));
        assert_eq!(statistics.status, 200, "{}", statistics.body);
        assert_eq!(get("elsewhere.example").status, 421);
    }

    /// The real audit, beside the workers, by the same manifest; what it said. It must find nothing.
    pub(crate) fn audit(&self) -> String {
        let secure = self.postgres.secure().unwrap();
        let (host, port) = (self.node.host().to_string(), self.postgres.port().to_string());
        let secret = [("host", &*host), ("port", &port), ("dbname", secure.database), ("user", secure.user)];
        for (key, value) in [&secret[..], &[("password", secure.password)]].concat() {
            self.place.write(format!("secrets/prices-app/{key}"), value).unwrap();
        }
        let file = self.place.write("monitor.yaml", manifest()).unwrap();
        let mut audit = Command::new(program());
        audit.args(["audit", "-f"]).arg(file).arg("--secrets-dir").arg(self.place.at("secrets"));
        audit.arg("--bootstrap-servers").arg(self.kafka.outer().unwrap().to_string());
        let finished = Process::start(audit.env_remove("RUST_LOG")).unwrap().wait(SOON).unwrap();
        let told = finished.output.all();
        assert_eq!(finished.code(), Some(0), "{told}\n{}", self.story());
        assert!(told.starts_with(&format!("{MONITOR}: clean\n")), "{told}");
        told
    }

    pub(crate) fn suspend(&self, rest: bool) {
        let patch = json!({"spec": {"suspend": rest}}).to_string();
        let arguments = ["patch", "pm", MONITOR, "--namespace", SHOP, "--type=merge", "-p", &patch];
        self.admin().run(&arguments, None).unwrap();
    }

    pub(crate) fn delete(&self) {
        self.admin().run(&["delete", "pm", MONITOR, "--namespace", SHOP], None).unwrap();
    }

    /// What a person would look at when something is wrong.
    pub(crate) fn story(&self) -> String {
        let admin = self.admin();
        let ask = |arguments: &[&str]| {
            let asked = admin.try_run(&[arguments, &["--namespace", SHOP]].concat(), None);
            asked.map_or_else(|error| format!("{error:#}"), |finished| finished.output.all())
        };
        let mut story = ask(&["get", "pm,pods,jobs,events", "-o", "wide"]);
        story += &ask(&["get", "pm", MONITOR, "-o", "jsonpath={.status}"]);
        for pod in self.list(&["pods"]).iter().map(name) {
            story += &format!("\n--- {pod}\n{}", ask(&["logs", &pod, "--tail=15"]));
            story += &ask(&["logs", &pod, "--tail=15", "--previous"]);
        }
        let operator = self.operator.as_ref().map(|it| it.output().all()).unwrap_or_default();
        let from = operator.len().saturating_sub(4_000);
        story + "\n--- operator\n" + operator.get(from..).unwrap_or(&operator)
    }

    /// Ends all of it; of the node nothing may be left.
    pub(crate) fn end(mut self) {
        let finished = self.operator.take().unwrap().terminate(Duration::from_secs(20)).unwrap();
        assert_eq!(finished.code(), Some(0), "{}", finished.output.all());
    }
}

fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap().to_owned()
}

fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The workers' program, which the same build has put beside the operator.
fn program() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_pricemonitor-operator")).with_file_name("pricemonitor");
    assert!(program.is_file(), "{} is missing: `cargo build -p pricemonitor`", program.display());
    program
}

/// The sample, as quick as a test is, and with a webhook of its own. Broker and database keep the names that the
/// sample gives them.
fn manifest() -> String {
    let mut text = text("../../manifests/samples/tickets.yaml");
    let discord = "discord: {webhookUrl: {secretKeyRef: {name: discord, key: url}}}";
    let changes = [
        ("name: concert-tickets", "name: concert-tickets\n  namespace: tickets"),
        ("interval: 5s", "interval: 200ms"),
        ("percent: 10,", "percent: 2,"),
        ("cooldown: 1m", "cooldown: 1s"),
        (discord, "webhook: {urlFrom: {secretKeyRef: {name: hook, key: url}}}"),
    ];
    for (from, to) in changes {
        assert_eq!(text.matches(from).count(), 1, "the sample has changed: `{from}`");
        text = text.replace(from, to);
    }
    text
}

/// A name in the cluster for a server outside of it.
fn service(name: &str, port: u16, at: SocketAddrV4) -> [Value; 2] {
    let metadata = json!({"name": name, "namespace": SHOP});
    let labels = json!({"kubernetes.io/service-name": name});
    let slice = json!({"name": format!("{name}-1"), "namespace": SHOP, "labels": labels});
    [
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata,
               "spec": {"ports": [{"name": "main", "port": port, "targetPort": at.port()}]}}),
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": slice, "addressType": "IPv4",
               "ports": [{"name": "main", "port": at.port()}],
               "endpoints": [{"addresses": [at.ip().to_string()], "conditions": {"ready": true}}]}),
    ]
}
