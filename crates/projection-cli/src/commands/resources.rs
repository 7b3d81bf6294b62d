//! What a command took: time, and the most memory that it had at a time.

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

/// A running measurement.
pub struct Resources {
    started: Instant,
}

impl Resources {
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    pub fn finish(self) -> Used {
        Used {
            seconds: self.started.elapsed().as_secs_f64(),
            cpu_seconds: cpu_time().map(|time| time.as_secs_f64()),
            peak_memory_bytes: peak_memory(),
        }
    }
}

/// What was used.
#[derive(Debug, Serialize)]
pub struct Used {
    seconds: f64,
    /// Of all threads, in the process so far; None where the system does not tell.
    cpu_seconds: Option<f64>,
    /// Of the process; None where the system does not tell.
    peak_memory_bytes: Option<u64>,
}

impl fmt::Display for Used {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "took {:.1} s", self.seconds)?;
        if let Some(seconds) = self.cpu_seconds {
            write!(f, ", {seconds:.1} s of processor time")?;
        }
        if let Some(bytes) = self.peak_memory_bytes {
            write!(f, ", peak memory {} MB", bytes.div_ceil(1_000_000))?;
        }
        Ok(())
    }
}

#[cfg(unix)]
fn usage() -> Option<libc::rusage> {
    // SAFETY: all zeros are a valid value of the structure, which has numbers only.
    let mut usage = unsafe { std::mem::zeroed::<libc::rusage>() };
    // SAFETY: the pointer is to a structure of this function.
    let status = unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    (status == 0).then_some(usage)
}

/// Time that the threads ran, in user and in system mode.
#[cfg(unix)]
fn cpu_time() -> Option<Duration> {
    let usage = usage()?;
    let time = |time: libc::timeval| {
        let seconds = Duration::from_secs(u64::try_from(time.tv_sec).ok()?);
        Some(seconds + Duration::from_micros(u64::try_from(time.tv_usec).ok()?))
    };
    Some(time(usage.ru_utime)? + time(usage.ru_stime)?)
}

#[cfg(not(unix))]
fn cpu_time() -> Option<Duration> {
    None
}

/// Linux counts what the process was before `exec` into `ru_maxrss`, but not into this.
#[cfg(target_os = "linux")]
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(all(unix, not(target_os = "linux")))]
fn peak_memory() -> Option<u64> {
    let peak = u64::try_from(usage()?.ru_maxrss).ok()?;
    // Bytes on Apple's systems, kibibytes elsewhere.
    Some(if cfg!(target_vendor = "apple") { peak } else { peak * 1024 })
}

#[cfg(not(unix))]
fn peak_memory() -> Option<u64> {
    None
}
