//! The reference server beside HAProxy and nginx doing the same job: processor time per request, each on one core, under
//! the same client.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::child;
use super::clients::records_of;
use super::summary::{ratios, spread, table};
use super::workspace::{SERVER_CPU, Workspace, text};

/// Longest wait for a gateway to listen.
const STARTING: Duration = Duration::from_secs(10);

/// What is compared, and what the better gateway's figure is multiplied with at most.
const JOBS: [(&str, &str, &str, f64); 7] = [
    ("none", "kept", "no authentication", 0.75),
    ("api-key", "kept", "API key", 0.75),
    ("mtls", "kept", "mTLS, kept connections", 0.75),
    ("jwt-hs256", "kept", "JWT HS256", 0.62),
    ("jwt-rs256", "kept", "JWT RS256", 0.62),
    ("jwt-es256", "kept", "JWT ES256", 0.62),
    ("mtls", "fresh", "mTLS, handshake per request", 0.25),
];

/// The measurements, the same for all three.
const MEASUREMENTS: &str = r#"
[[measurement]]
name = "kept"
kind = "throughput"
connections = 64
warmup = "200ms"
measure = "1s"
slice = "100ms"
[[measurement]]
name = "fresh"
kind = "throughput"
variants = ["mtls"]
connection = "fresh"
connections = 16
warmup = "100ms"
measure = "1s"
slice = "100ms"
"#;

const REFERENCE: &str = r#"
[server]
transport = "tls1.3"
http = "1.1"
key_exchange = "X25519" # as the gateways agree on
[[variant]]
name = "none"
method = "none"
[[variant]]
name = "api-key"
method = "api-key"
store = { kind = "memory" }
pool = { count = 1_000 }
[[variant]]
name = "jwt-hs256"
method = "jwt"
algorithm = "HS256"
leeway = "0s"
pool = { count = 100 }
[[variant]]
name = "jwt-rs256"
method = "jwt"
algorithm = "RS256"
leeway = "0s"
pool = { count = 100 }
[[variant]]
name = "jwt-es256"
method = "jwt"
algorithm = "ES256"
leeway = "0s"
pool = { count = 100 }
[[variant]]
name = "mtls"
method = "mtls"
crl_reload = "2s"
pool = { count = 64 }
"#;

/// Processor microseconds per request by variant and measurement, one for each round.
type Costs = BTreeMap<(String, String), Vec<f64>>;

/// Compares them over `rounds`, as Markdown. `scenarios` is the repository's folder of that name.
///
/// # Errors
/// When a server or a run fails.
pub(crate) fn compare(workspace: &Workspace, scenarios: &Path, rounds: usize) -> anyhow::Result<String> {
    let state = workspace.path("state");
    let ports: [u16; 5] = free_ports()?;
    let [haproxy_port, haproxy_mtls, haproxy_admin, nginx_port, nginx_mtls] = ports;
    let mut prepare = Command::new(scenarios.join("gateways/prepare"));
    prepare.arg(&state).env("PORT", nginx_port.to_string()).env("PORT_MTLS", nginx_mtls.to_string());
    let prepared = prepare.stdout(Stdio::null()).status().context("scenarios/gateways/prepare")?;
    ensure!(prepared.success(), "scenarios/gateways/prepare ended with {prepared}");

    let mut haproxy = child::bound(SERVER_CPU, "haproxy");
    haproxy.args(["-f", "secrets.cfg", "-f", "haproxy.cfg", "-db"]).current_dir(&state);
    let listen = |port: u16| format!("ipv4@127.0.0.1:{port}");
    haproxy.env("GATEWAY", listen(haproxy_port));
    haproxy.env("GATEWAY_MTLS", listen(haproxy_mtls)).env("GATEWAY_ADMIN", listen(haproxy_admin));
    let haproxy = Gateway::start("haproxy", &mut haproxy, haproxy_port)?;
    let mut nginx = child::bound(SERVER_CPU, "nginx");
    nginx.arg("-p").arg(&state).args(["-c", "nginx.conf", "-e", "stderr"]);
    if rustix::process::geteuid().is_root() {
        nginx.args(["-g", "user root;"]); // or the worker could not read the files
    }
    let nginx = Gateway::start("nginx", &mut nginx, nginx_port)?;

    let tokens = |names: &[&str]| names.iter().map(|name| token_variant(name)).collect::<String>();
    let subjects = [
        ("authbench", REFERENCE.to_owned()),
        ("HAProxy", target(&haproxy, haproxy_mtls, &tokens(&["jwt-hs256", "jwt-rs256", "jwt-es256"]))),
        ("nginx", target(&nginx, nginx_mtls, "")),
    ];
    let mut costs: BTreeMap<&str, Costs> = BTreeMap::new();
    for round in 0..rounds {
        for turn in 0..subjects.len() {
            let (name, scenario) = &subjects[(round + turn) % subjects.len()];
            let measured =
                run(workspace, &format!("seed = {round}\nstarts = 1\nrounds = 1\n{scenario}{MEASUREMENTS}"))?;
            for (case, cost) in measured {
                costs.entry(name).or_default().entry(case).or_default().push(cost);
            }
            eprintln!("round {} of {rounds}: {name}", round + 1);
        }
    }

    let mut rows = Vec::new();
    for (variant, measurement, title, bound) in JOBS {
        let case = (variant.to_owned(), measurement.to_owned());
        let of = |name: &str| costs.get(name).and_then(|costs| costs.get(&case));
        let own = of("authbench").context("authbench measured itself")?;
        let mut cells = vec![title.to_owned(), spread(own, 1)];
        let mut best: Option<Vec<f64>> = None;
        for gateway in ["HAProxy", "nginx"] {
            cells.push(of(gateway).map_or_else(|| "–".to_owned(), |costs| spread(costs, 1)));
            let Some(theirs) = of(gateway) else { continue };
            // The better of the two in each round: no gateway is charged for its bad moments.
            best = Some(match best {
                None => theirs.clone(),
                Some(best) => best.iter().zip(theirs).map(|(a, b)| a.min(*b)).collect(),
            });
        }
        cells.push(spread(&ratios(own, &best.context("a gateway does each job")?), 2));
        cells.push(format!("{bound}"));
        rows.push(cells);
    }
    Ok(table(
        &["server CPU, µs per request", "authbench serve", "HAProxy", "nginx", "ratio to the better", "bound"],
        &rows,
    ))
}

fn token_variant(name: &str) -> String {
    format!(
        "[[variant]]\nname = \"{name}\"\nmethod = \"jwt\"\nurl = \"/{name}\"\n\
         credentials = {{ file = \"state/{name}.txt\" }}\npool = {{ count = 100 }}\n"
    )
}

fn target(gateway: &Gateway, mtls: u16, more: &str) -> String {
    // nginx finishes the handshake of a client without certificate and answers 400.
    let rejected = if gateway.name == "nginx" { "rejected = { status = [400] }\n" } else { "" };
    let (port, pid) = (gateway.port, gateway.child.id());
    let mut text = String::new();
    write!(
        text,
        "[target]\nurl = \"https://localhost:{port}/none\"\nroots = \"state/ca.pem\"\ntransport = \"tls1.3\"\nhttp = \"1.1\"\n\
         pid = {pid}\naccepted = {{ status = [200], body_contains = '\"principal\":\"{{principal}}\"' }}\n\
         rejected = {{ status = [401] }}\n\
         [[variant]]\nname = \"none\"\nmethod = \"none\"\naccepted = {{ body_contains = '\"principal\":\"anonymous\"' }}\n\
         [[variant]]\nname = \"api-key\"\nmethod = \"api-key\"\nurl = \"/api-key\"\nheader = \"X-API-Key: {{credential}}\"\n\
         credentials = {{ file = \"state/api-keys.txt\" }}\npool = {{ count = 1_000 }}\n\
         [[variant]]\nname = \"mtls\"\nmethod = \"mtls\"\nurl = \"https://localhost:{mtls}/\"\n\
         credentials = {{ folder = \"state/clients\" }}\npool = {{ count = 64 }}\n{rejected}{more}"
    )
    .expect("a string takes everything");
    text
}

/// Runs a scenario and returns what the server's processes cost per request.
fn run(workspace: &Workspace, scenario: &str) -> anyhow::Result<BTreeMap<(String, String), f64>> {
    let file = workspace.path("gateway.toml");
    std::fs::write(&file, scenario)?;
    let out = workspace.path("gateway-run");
    let mut command = Command::new(&workspace.authbench);
    child::run(command.arg("run").arg(&file).arg("--out").arg(&out))?;
    let records = std::fs::read_to_string(records_of(&out)?)?;
    std::fs::remove_dir_all(&out)?;
    let mut costs = BTreeMap::new();
    for line in records.lines() {
        let record: serde_json::Value = serde_json::from_str(line)?;
        ensure!(record["invalid"].is_null(), "{} is invalid: {}", record["case"], record["invalid"]);
        let result = &record["measured"];
        let cpu = result["server_cpu_ns"].as_object().context("no processor time of the server")?;
        let cpu: f64 = cpu.values().filter_map(serde_json::Value::as_f64).sum();
        let answered = result["answered"].as_f64().context("no count")?;
        let word = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
        costs.insert((word("variant"), word("measurement")), cpu / 1e3 / answered);
    }
    Ok(costs)
}

/// Ports that nobody listens on now. Another process may take one before the gateway does; then it fails to start, and
/// says so.
fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    let listeners: Vec<TcpListener> =
        (0..N).map(|_| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))).collect::<Result<_, _>>()?;
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

/// A gateway process; ends when dropped.
struct Gateway {
    name: &'static str,
    child: Child,
    port: u16,
}

impl Gateway {
    fn start(name: &'static str, command: &mut Command, port: u16) -> anyhow::Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut gateway = Self { name, child: child.with_context(|| format!("cannot run {name}"))?, port };
        let deadline = Instant::now() + STARTING;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = gateway.child.try_wait()?;
            ensure!(ended.is_none(), "{name} ended at once: {}", ended.unwrap_or_default());
            ensure!(Instant::now() < deadline, "{name} does not listen on port {port} after {} s", STARTING.as_secs());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(gateway)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // TERM, so that nginx ends its worker too.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

/// Where the repository's scenarios are: beside the `benches` that this was built from, or where it is run.
pub(crate) fn scenarios(given: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let folder = given.unwrap_or_else(|| PathBuf::from("scenarios"));
    ensure!(
        folder.join("gateways/prepare").exists(),
        "{} holds no gateways/prepare: run from the repository",
        text(&folder)?
    );
    Ok(folder.canonicalize()?)
}
