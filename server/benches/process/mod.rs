//! Server processes of a bench, and what they cost.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use tokio::net::TcpListener;
use tonic::transport::{Channel, Endpoint};

pub type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Microseconds of a clock tick of `/proc/PID/stat`; 100 a second on every Linux in use.
const TICK_US: f64 = 10_000.0;

pub fn single_threaded() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

pub async fn listen() -> Fallible<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    Ok(listener)
}

/// Ends with the pipe to the parent, so that a child never outlives the bench.
pub async fn parent_gone() {
    let wait = || std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
    let _ = tokio::task::spawn_blocking(wait).await;
}

/// A server process and a channel to it.
pub struct Peer {
    child: Child,
    pub channel: Channel,
}

/// This program in the role of a server.
pub async fn start(role: &str) -> Fallible<Peer> {
    let mut child = Command::new(std::env::current_exe()?)
        .env("CVM_BENCH_ROLE", role)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut address = String::new();
    let output = child.stdout.take().ok_or("no output")?;
    BufReader::new(output).read_line(&mut address)?;
    let endpoint = Endpoint::from_shared(format!("http://{}", address.trim()))?;
    let channel = endpoint.connect().await?;
    Ok(Peer { child, channel })
}

impl Peer {
    pub fn cpu(&self) -> Fallible<Cpu> {
        Cpu::of(self.child.id())
    }

    /// At once: a server that waits for its connections would wait for this thread.
    pub fn end(mut self) -> Fallible<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

/// Processor time of a process.
#[derive(Debug, Clone, Copy)]
pub struct Cpu {
    pub all_us: f64,
    /// Without the kernel's part.
    pub user_us: f64,
}

impl Cpu {
    /// Of all threads: the first figure of `schedstat`, in nanoseconds, and the share of user and system
    /// time of `stat` in it.
    pub fn of(process: u32) -> Fallible<Cpu> {
        let mut nanoseconds = 0;
        for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
            let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
            let first = text.split(' ').next().unwrap_or_default();
            nanoseconds += first.parse::<u64>()?;
        }
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let user = fields.split_whitespace().nth(11).ok_or("no user time")?;
        Ok(Cpu {
            all_us: nanoseconds as f64 / 1e3,
            user_us: user.parse::<f64>()? * TICK_US,
        })
    }

    pub fn since(self, before: Cpu) -> Cpu {
        Cpu {
            all_us: self.all_us - before.all_us,
            user_us: self.user_us - before.user_us,
        }
    }

    pub fn each(self, count: f64) -> Cpu {
        Cpu {
            all_us: self.all_us / count,
            user_us: self.user_us / count,
        }
    }
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
