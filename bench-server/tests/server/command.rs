//! The program: `--supervised`, `--config`, exit status, and what ends it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use bench_server::contract::Ready;

fn config(state: &std::path::Path, bind: &str) -> String {
    serde_json::json!({
        "workers": 1,
        "state_dir": state,
        "listeners": [{
            "name": "main", "bind": bind, "transport": "plaintext", "http": ["1.1"],
            "profiles": [{"name": "none", "path": "/none", "scope": "", "method": "none"}],
        }],
    })
    .to_string()
}

fn program(arguments: &[&str]) -> (Child, ChildStdin, BufReader<ChildStdout>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_bench-server"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let (stdin, stdout) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    (child, stdin, BufReader::new(stdout))
}

fn supervised(config: &str) -> (Child, ChildStdin, BufReader<ChildStdout>) {
    let (child, mut stdin, stdout) = program(&["--supervised", "--temporary-state"]);
    writeln!(stdin, "{config}").expect("sent");
    (child, stdin, stdout)
}

fn ready(stdout: &mut impl std::io::BufRead) -> Ready {
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a line");
    serde_json::from_str(&line).expect("the ready line")
}

/// Exit status and stderr.
fn ended(mut child: Child) -> (Option<i32>, String) {
    let mut stderr = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut stderr).expect("text");
    (child.wait().expect("it ends").code(), stderr)
}

#[test]
fn a_supervised_server_ends_with_its_stdin() {
    let state = tempfile::tempdir().expect("a folder");
    let (child, stdin, mut stdout) = supervised(&config(state.path(), "127.0.0.1:0"));
    let ready = ready(&mut stdout);
    assert_eq!(ready.pid, child.id());
    assert!(ready.ca_file.exists() && ready.control.exists());
    std::net::TcpStream::connect(ready.listeners[0].address).expect("it accepts connections");
    drop(stdin); // what the kernel does for a parent that was killed
    let (status, stderr) = ended(child);
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    assert!(!state.path().exists(), "its keys do not outlive who asked for them");
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).expect("text");
    assert_eq!(rest, "", "one line and nothing else");
}

#[test]
fn a_state_folder_that_is_not_temporary_is_kept() {
    let state = tempfile::tempdir().expect("a folder");
    let (child, mut stdin, mut stdout) = program(&["--supervised"]);
    writeln!(stdin, "{}", config(state.path(), "127.0.0.1:0")).expect("sent");
    let ready = ready(&mut stdout);
    drop(stdin);
    assert_eq!(ended(child).0, Some(0));
    assert!(ready.ca_file.exists());
}

#[test]
fn signals_stop_it_cleanly() {
    use rustix::process::{Pid, Signal, kill_process};
    for signal in [Signal::INT, Signal::TERM] {
        let state = tempfile::tempdir().expect("a folder");
        let (child, _stdin, mut stdout) = supervised(&config(state.path(), "127.0.0.1:0"));
        let ready = ready(&mut stdout);
        kill_process(Pid::from_child(&child), signal).expect("it runs");
        assert_eq!(ended(child), (Some(0), String::new()));
        assert!(!ready.control.exists());
    }
}

#[test]
fn a_wrong_configuration_is_status_2_with_all_mistakes() {
    let state = tempfile::tempdir().expect("a folder");
    let wrong = config(state.path(), "0.0.0.0:0").replace("\"/none\"", "\"none\"");
    let (child, _stdin, _stdout) = supervised(&wrong);
    let (status, stderr) = ended(child);
    assert_eq!(status, Some(2));
    assert!(stderr.contains("loopback") && stderr.contains("is not a path"), "{stderr}");

    let (child, stdin, _stdout) = program(&["--supervised"]);
    drop(stdin);
    assert_eq!(ended(child).0, Some(2));
    let (child, _stdin, _stdout) = program(&["--config", "/nowhere/server.toml"]);
    let (status, stderr) = ended(child);
    assert_eq!(status, Some(2));
    assert!(stderr.contains("/nowhere/server.toml"), "{stderr}");
}

#[test]
fn a_server_that_cannot_start_is_status_3() {
    let state = tempfile::tempdir().expect("a folder");
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = held.local_addr().expect("an address").to_string();
    let (child, _stdin, _stdout) = supervised(&config(state.path(), &address));
    let (status, stderr) = ended(child);
    assert_eq!(status, Some(3));
    assert!(stderr.contains(&address), "{stderr}");
}

#[test]
fn a_file_configures_it_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("server.toml");
    let state = folder.path().join("state");
    let toml = format!(
        "workers = 1\nstate_dir = {:?}\n[[listeners]]\nname = \"main\"\nbind = \"127.0.0.1:0\"\n\
         transport = \"tls1.3\"\nhttp = [\"1.1\"]\n",
        state.display().to_string()
    );
    std::fs::write(&file, toml).expect("written");
    let (child, _stdin, mut stdout) = program(&["--config", &file.display().to_string()]);
    let mut line = String::new();
    stdout.read_line(&mut line).expect("a line");
    assert!(line.starts_with("main: https://127.0.0.1:"), "{line}");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM)
        .expect("it runs");
    assert_eq!(ended(child).0, Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn all_threads_are_bound_to_the_given_processors() {
    use rustix::thread::{CpuSet, sched_getaffinity};
    let allowed = sched_getaffinity(None).expect("a set");
    let cpu = (0..CpuSet::MAX_CPU).find(|cpu| allowed.is_set(*cpu)).expect("at least one");
    let state = tempfile::tempdir().expect("a folder");
    let mut config: serde_json::Value = serde_json::from_str(&config(state.path(), "127.0.0.1:0")).expect("JSON");
    config["cpus"] = serde_json::json!([cpu]);
    let (child, stdin, mut stdout) = supervised(&config.to_string());
    let ready = ready(&mut stdout);
    let mut threads = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{}/task", ready.pid)).expect("it runs") {
        let status = std::fs::read_to_string(thread.expect("a thread").path().join("status")).expect("its status");
        let field = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name)).expect("a field");
            value.trim().to_owned()
        };
        assert_eq!(field("Cpus_allowed_list:"), cpu.to_string());
        threads.push(field("Name:"));
    }
    assert!(
        threads.iter().any(|name| name == "worker-0") && threads.iter().any(|name| name == "control"),
        "{threads:?}"
    );
    drop(stdin);
    assert_eq!(ended(child).0, Some(0));
}
