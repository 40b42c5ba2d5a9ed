//! As much of the DevTools protocol as the test needs.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

const PATIENCE: Duration = Duration::from_secs(20);
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The browser's program: `PRICEMONITOR_CHROMIUM`, else by its names on the path.
pub(crate) fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("PRICEMONITOR_CHROMIUM") {
        return Some(PathBuf::from(named));
    }
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    NAMES
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|file| file.is_file())
}

/// A browser of its own profile with one page; ends when dropped.
pub(crate) struct Browser {
    child: Child,
    _profile: tempfile::TempDir,
    socket: WebSocket<TcpStream>,
    session: Option<String>,
    next: u64,
    /// Complaints of the page: console errors and warnings, exceptions, refused loads.
    pub(crate) complaints: Vec<String>,
    /// Every address that was asked for.
    pub(crate) requests: Vec<String>,
}

/// How the page is looked at.
#[derive(Clone, Copy)]
pub(crate) struct Look {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) dark: bool,
}

impl Browser {
    pub(crate) fn start(program: &Path, look: Look) -> Browser {
        let profile = tempfile::tempdir().unwrap();
        let child = Command::new(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let socket = connect(&profile.path().join("DevToolsActivePort"));
        let mut browser = Browser {
            child,
            _profile: profile,
            socket,
            session: None,
            next: 0,
            complaints: Vec::new(),
            requests: Vec::new(),
        };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let target = target["targetId"].as_str().unwrap().to_owned();
        let attached = browser.call("Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Network", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.call("Emulation.setTimezoneOverride", json!({"timezoneId": "Europe/Helsinki"}));
        browser.call("Emulation.setLocaleOverride", json!({"locale": "en-GB"}));
        browser.look(look);
        browser
    }

    pub(crate) fn look(&mut self, look: Look) {
        let Look { width, height, dark } = look;
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", media);
    }

    /// Loads an address and waits for the load.
    pub(crate) fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({"url": url}));
        self.wait("document.readyState === 'complete'");
    }

    /// Sends a command and waits for its answer; events on the way are kept.
    pub(crate) fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.next += 1;
        let id = self.next;
        let mut message = json!({"id": id, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(message.to_string())).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let Some(message) = self.receive() else { continue };
            if message["id"] == id {
                assert!(message.get("error").is_none(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.note(&message);
        }
        panic!("the browser did not answer {method}");
    }

    fn receive(&mut self) -> Option<Value> {
        match self.socket.read() {
            Ok(Message::Text(text)) => Some(serde_json::from_str(&text).unwrap()),
            Ok(_) => None,
            Err(tungstenite::Error::Io(error))
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
            {
                None
            }
            Err(error) => panic!("the browser is gone: {error}"),
        }
    }

    fn note(&mut self, message: &Value) {
        let parameters = &message["params"];
        match message["method"].as_str().unwrap_or_default() {
            "Runtime.consoleAPICalled"
                if parameters["type"] == "error" || parameters["type"] == "warning" =>
            {
                self.complaints.push(parameters["args"].to_string());
            }
            "Runtime.exceptionThrown" => self.complaints.push(parameters["exceptionDetails"].to_string()),
            "Log.entryAdded"
                if parameters["entry"]["level"] != "info" && parameters["entry"]["level"] != "verbose" =>
            {
                self.complaints.push(parameters["entry"].to_string());
            }
            "Network.requestWillBeSent" => {
                self.requests.push(parameters["request"]["url"].as_str().unwrap_or_default().to_owned());
            }
            "Network.webSocketCreated" | "Network.webTransportCreated" => {
                self.requests.push(parameters["url"].as_str().unwrap_or_default().to_owned());
            }
            _ => {}
        }
    }

    /// Value of an expression, awaited.
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true});
        let answer = self.call("Runtime.evaluate", parameters);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// Text of the first element that the selector finds.
    pub(crate) fn text(&mut self, selector: &str) -> String {
        let script = format!("document.querySelector({selector:?})?.textContent ?? ''");
        self.eval(&script).as_str().unwrap().to_owned()
    }

    /// Waits until the expression is true.
    pub(crate) fn wait(&mut self, expression: &str) {
        self.wait_for(expression, PATIENCE);
    }

    pub(crate) fn wait_for(&mut self, expression: &str, patience: Duration) {
        let deadline = Instant::now() + patience;
        loop {
            if self.eval(&format!("Boolean({expression})")) == true {
                return;
            }
            if Instant::now() > deadline {
                let body = self.eval("document.body.innerText.slice(0, 1500)");
                panic!("never came true: {expression}\ncomplaints: {:?}\npage: {body}", self.complaints);
            }
            std::thread::sleep(Duration::from_millis(40));
        }
    }

    pub(crate) fn key(&mut self, key: &str, code: &str, number: u32) {
        let text = if key.len() == 1 { key } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let event = json!({"type": kind, "key": key, "code": code, "text": text, "windowsVirtualKeyCode": number});
            let event = if kind == "keyUp" { json!({"type": kind, "key": key, "code": code}) } else { event };
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Chooses an option of a select as a person does.
    pub(crate) fn choose(&mut self, id: &str, value: &str) {
        let script = format!(
            "(() => {{ const s = document.getElementById({id:?}); s.value = {value:?}; \
             s.dispatchEvent(new Event('change', {{bubbles: true}})); return s.value; }})()"
        );
        assert_eq!(self.eval(&script), value, "there is no such option");
    }

    /// A picture of the whole page.
    pub(crate) fn picture(&mut self) -> Vec<u8> {
        use base64::Engine as _;
        let size =
            self.eval("[innerWidth, Math.ceil(document.documentElement.getBoundingClientRect().height)]");
        let clip = json!({"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1});
        let answer = self.call(
            "Page.captureScreenshot",
            json!({"format": "png", "clip": clip, "captureBeyondViewport": true}),
        );
        base64::engine::general_purpose::STANDARD.decode(answer["data"].as_str().unwrap()).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Connects to the port that the browser writes into its profile once it listens.
fn connect(file: &Path) -> WebSocket<TcpStream> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told = std::fs::read_to_string(file).unwrap_or_default();
        if let Some((port, path)) = told.split_once('\n')
            && path.starts_with('/')
            && let Ok(stream) = TcpStream::connect(format!("127.0.0.1:{port}"))
        {
            let (socket, _) =
                tungstenite::client(format!("ws://127.0.0.1:{port}{}", path.trim()), stream).unwrap();
            socket.get_ref().set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            return socket;
        }
        assert!(Instant::now() < deadline, "the browser does not start: try it with --version");
        std::thread::sleep(Duration::from_millis(30));
    }
}
