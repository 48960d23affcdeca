//! A program that runs during a test. Its output is collected, and printed if the test fails. It is killed when its value is
//! dropped.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// The time limit for a program to get ready or to stop.
pub const TIME_LIMIT: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    output: Arc<Output>,
}

/// The output of both streams, and a signal for every change.
#[derive(Debug, Default)]
struct Output {
    written: Mutex<Written>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Written {
    lines: Vec<String>,
    /// Whether lines are also printed.
    is_printed: bool,
    /// The number of streams that have ended, of two.
    ended_streams: u8,
}

impl Process {
    /// Starts `command` with no input.
    pub fn spawn(command: &mut Command) -> anyhow::Result<Process> {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| {
            let hint = "`cargo xtask test` builds and installs what the tests need";
            anyhow::anyhow!("cannot start {name}: {error} ({hint})")
        })?;
        let output = Arc::new(Output::default());
        collect(child.stdout.take().unwrap(), Arc::clone(&output));
        collect(child.stderr.take().unwrap(), Arc::clone(&output));
        Ok(Process { name, child, output })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The output so far.
    pub fn output(&self) -> String {
        self.output.written.lock().unwrap().lines.join("\n")
    }

    /// Prints its output from now on.
    pub fn show(&self) {
        self.output.written.lock().unwrap().is_printed = true;
    }

    /// Waits for the first line for which `matching` returns a value.
    pub fn wait_for_line<T>(&self, matching: impl Fn(&str) -> Option<T>) -> anyhow::Result<T> {
        let mut found = None;
        self.wait(|written| {
            found = written.lines.iter().find_map(|line| matching(line));
            found.is_some() || written.ended_streams == 2
        })?;
        let message = || anyhow::anyhow!("{} exited:\n{}", self.name, self.output());
        found.ok_or_else(message)
    }

    /// Sends SIGTERM, without waiting.
    pub fn terminate(&mut self) {
        if cfg!(unix) {
            let mut kill = Command::new("kill");
            let _ = kill.args(["-TERM", &self.id().to_string()]).status();
        } else {
            let _ = self.child.kill();
        }
    }

    /// Waits until it exits.
    pub fn wait_for_exit(&mut self) -> anyhow::Result<ExitStatus> {
        self.wait(|written| written.ended_streams == 2)?;
        Ok(self.child.wait()?)
    }

    fn wait(&self, mut done: impl FnMut(&Written) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + TIME_LIMIT;
        let mut written = self.output.written.lock().unwrap();
        while !done(&written) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let lines = written.lines.join("\n");
                anyhow::bail!("{} took more than {TIME_LIMIT:?}:\n{lines}", self.name);
            }
            written = self.output.changed.wait_timeout(written, left).unwrap().0;
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("---- {}\n{}\n----", self.name, self.output());
        }
    }
}

fn collect(stream: impl Read + Send + 'static, output: Arc<Output>) {
    std::thread::spawn(move || {
        let mut lines = BufReader::new(stream).split(b'\n');
        while let Some(Ok(line)) = lines.next() {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let mut written = output.written.lock().unwrap();
            if written.is_printed {
                println!("{line}");
            }
            written.lines.push(line);
            drop(written);
            output.changed.notify_all();
        }
        output.written.lock().unwrap().ended_streams += 1;
        output.changed.notify_all();
    });
}

/// Calls `check` until it returns a value, up to a time limit.
pub fn poll<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    let deadline = Instant::now() + TIME_LIMIT;
    loop {
        if let Some(value) = check() {
            return Ok(value);
        }
        if Instant::now() > deadline {
            anyhow::bail!("waited {TIME_LIMIT:?} for {what}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A free port, for programs that cannot report which port they chose. This process returns each port once, and only ports
/// below those of outgoing connections, of which the tests open thousands.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = std::process::id() * 97;
    loop {
        let number = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed).into());
        let port = 20_000 + (number % 12_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The result of a program.
#[derive(Debug)]
pub struct Finished {
    pub ok: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// The output of both streams.
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Panics with the output if it failed.
    #[track_caller]
    pub fn succeeded(self) -> Finished {
        assert!(self.ok, "failed:\n{}", self.text());
        self
    }

    #[track_caller]
    pub fn failed(self) -> Finished {
        assert!(!self.ok, "succeeded:\n{}", self.text());
        self
    }
}

/// Runs `command` until it exits.
pub fn run(command: &mut Command) -> anyhow::Result<Finished> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| anyhow::anyhow!("cannot run {name}: {error}"))?;
    Ok(Finished {
        ok: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
