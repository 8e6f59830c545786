// SPDX-License-Identifier: MIT
//! The backend's command line: the options of the C backend, where they have a meaning here.

use std::str::FromStr;

use crate::work;

const USAGE: &str = "usage: backend [OPTION]...
A small web forum with a slow page, in Rust on hyper and tokio: a target of profcore's demo and the truth of its tests.

  --host ADDRESS      address to listen on (127.0.0.1)
  --port PORT         port; 0 takes a free one, printed at the start (8080)
  --threads N         worker threads of the runtime (4)
  --work-us US        CPU time that one request to /slow costs (5000)
  --split A,B,C       its shares: hash_rounds, sort_comments, render_markdown (60,25,15)
  --leak-bytes BYTES  what a request with mode=leak leaks (16384)
  --leak-limit BYTES  what may leak in all, then it stops (1073741824)
  --reads N           read calls of a request with mode=syscalls (2000)
  --folder PATH       where mode=io and mode=syscalls keep their file ($TMPDIR or /tmp)
  --db HOST:PORT      the Redis server that mode=db asks (none)

Paths: /  /health  /slow[?mode=cpu|lock|io|alloc|leak|syscalls|db|blocking|async-lock|hold]  /truth[?reset=1]
";

pub struct Options {
    pub host: String,
    pub port: u16,
    pub threads: usize,
    pub work_us: u64,
    pub split: [f64; work::COUNT], // sum 1
    pub leak_bytes: u64,
    pub leak_limit: u64,
    pub reads: u64,
    pub folder: String,
    pub db: Option<String>,
}

fn number<T: FromStr + PartialOrd + std::fmt::Display>(name: &str, text: &str, max: T) -> Result<T, String> {
    match text.parse::<T>() {
        Ok(value) if value <= max => Ok(value),
        _ => Err(format!("{name} {text}: not a number from 0 to {max}")),
    }
}

fn shares(text: &str) -> Result<[f64; work::COUNT], String> {
    let parts: Vec<f64> = text.split(',').map_while(|part| part.parse().ok()).collect();
    let sum: f64 = parts.iter().sum();

    if text.split(',').count() != work::COUNT || parts.len() != work::COUNT || parts.iter().any(|&part| part < 0.0) {
        return Err(format!("--split {text}: not {} numbers with commas between them", work::COUNT));
    }
    if !(sum > 0.0 && sum.is_finite()) {
        return Err(format!("--split {text}: nothing to share"));
    }
    Ok([parts[0] / sum, parts[1] / sum, parts[2] / sum])
}

impl Options {
    fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
        match name {
            "--host" => self.host = text.to_string(),
            "--port" => self.port = number(name, text, u16::MAX)?,
            "--threads" => self.threads = number(name, text, 256usize)?.max(1),
            "--work-us" => self.work_us = number(name, text, 10_000_000)?,
            "--split" => self.split = shares(text)?,
            "--leak-bytes" => self.leak_bytes = number(name, text, 1 << 30)?,
            "--leak-limit" => self.leak_limit = number(name, text, u64::MAX)?,
            "--reads" => self.reads = number(name, text, 1_000_000)?,
            "--folder" => self.folder = text.to_string(),
            "--db" => self.db = Some(text.to_string()),
            _ => return Err(format!("{name}: not an option; try --help")),
        }
        Ok(())
    }

    /// Read the command line; None when only help was asked for (and printed).
    pub fn parse(mut args: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
        let mut options = Options {
            host: "127.0.0.1".to_string(),
            port: 8080,
            threads: 4,
            work_us: 5000,
            split: [0.60, 0.25, 0.15],
            leak_bytes: 16384,
            leak_limit: 1 << 30,
            reads: 2000,
            folder: std::env::temp_dir().display().to_string(),
            db: None,
        };

        while let Some(arg) = args.next() {
            if arg == "--help" {
                print!("{USAGE}");
                return Ok(None);
            }
            let (name, text) = match arg.split_once('=') {
                Some((name, text)) => (name.to_string(), text.to_string()),
                None => {
                    let text = args.next().ok_or_else(|| format!("{arg}: needs a value, or is no option; try --help"))?;
                    (arg, text)
                }
            };
            options.set(&name, &text)?;
        }
        Ok(Some(options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Option<Options>, String> {
        Options::parse(words.iter().map(|word| word.to_string()))
    }

    #[test]
    fn bad_values_are_refused() {
        for words in [["--port", "70000"], ["--split", "1,2"], ["--split", "0,0,0"], ["--split", "1,2,x"], ["--x", "1"]] {
            assert!(parse(&words).is_err(), "{words:?}");
        }
        assert!(parse(&["--port"]).is_err());
    }

    #[test]
    fn shares_sum_to_one() {
        let options = parse(&["--split=2,1,1"]).unwrap().unwrap();
        assert_eq!(options.split, [0.5, 0.25, 0.25]);
    }
}
