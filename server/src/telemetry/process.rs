//! Process metrics with the standard Prometheus names. Memory and file descriptors on Linux only.

use std::sync::atomic::AtomicU64;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// A gauge of a number that is not whole.
pub type Fraction = Gauge<f64, AtomicU64>;

pub struct Process {
    resident: Gauge,
    open_files: Gauge,
}

impl Process {
    pub fn new(registry: &mut Registry) -> Self {
        let start = Fraction::default();
        start.set(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
        registry.register("process_start_time_seconds", "Unix time of the start of the process", start);
        let process = Self { resident: Gauge::default(), open_files: Gauge::default() };
        if cfg!(target_os = "linux") {
            registry.register("process_resident_memory_bytes", "Memory in use", process.resident.clone());
            registry.register("process_open_fds", "Open file descriptors", process.open_files.clone());
        }
        process
    }

    /// Reads the values from the system.
    pub fn update(&self) {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let resident =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<i64>().ok());
        self.resident.set(resident.unwrap_or_default() << 10);
        // One of them is the directory that is being read.
        let open = std::fs::read_dir("/proc/self/fd").map_or(0, |files| files.count().saturating_sub(1));
        self.open_files.set(i64::try_from(open).unwrap_or(i64::MAX));
    }
}
