// SPDX-License-Identifier: MIT
//! How many passes of each piece of work fill a given CPU time on this machine, now. Measured at the start, and learned
//! again from every request: what a pass costs depends on who else is running.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::truth::thread_cpu_ns;
use crate::work::{self, work_do, Work};

const TRIAL_NS: u64 = 2_000_000; // long beside a thread clock read, short beside a start-up
const TRIALS: usize = 4;
const MEMORY: u64 = 16; // calls after which a changed cost is mostly believed

/// Cost and target of each piece.
#[derive(Default)]
pub struct Amounts {
    pub target_ns: [u64; work::COUNT], // CPU time in one request
    pass_ps: [AtomicU64; work::COUNT], // what a pass costs, in picoseconds
    pub result: u64,                   // what the trials computed; must be kept for them to be real
}

fn time_passes(work: Work, passes: u64, result: &mut u64) -> u64 {
    let began_ns = thread_cpu_ns();

    *result = (*result).wrapping_add(work_do(work, *result, passes));
    thread_cpu_ns() - began_ns
}

/// The best of some trials, in picoseconds a pass: the others were disturbed.
fn measure_pass_ps(work: Work, result: &mut u64) -> u64 {
    let mut passes = 16;
    let mut best_ns = time_passes(work, passes, result);

    while best_ns < TRIAL_NS && passes < 1 << 30 {
        passes *= 2;
        best_ns = time_passes(work, passes, result);
    }
    for _ in 1..TRIALS {
        best_ns = best_ns.min(time_passes(work, passes, result));
    }
    best_ns.max(1) * 1000 / passes + 1
}

impl Amounts {
    /// Measure each piece for about 10 ms; work_us is split by the shares.
    pub fn calibrate(split: &[f64; work::COUNT], work_us: u64) -> Amounts {
        let mut amounts = Amounts { result: 1, ..Amounts::default() };

        for work in [Work::Hash, Work::Sort, Work::Markdown] {
            let pass_ps = measure_pass_ps(work, &mut amounts.result);

            amounts.target_ns[work as usize] = (split[work as usize] * work_us as f64 * 1000.0) as u64;
            amounts.pass_ps[work as usize].store(pass_ps, Relaxed);
        }
        amounts
    }

    /// Passes that take so long, at least one unless the time is 0.
    pub fn passes(&self, work: Work, ns: u64) -> u64 {
        let pass_ps = self.pass_ps[work as usize].load(Relaxed);
        let passes = (ns * 1000 + pass_ps / 2) / pass_ps;

        if ns > 0 { passes.max(1) } else { passes }
    }

    /// Learn from so many passes that took so long; what two learn at once may be what one does.
    pub fn learn(&self, work: Work, passes: u64, ns: u64) {
        let pass_ps = &self.pass_ps[work as usize];

        // A short call says more about the clock than about the work.
        if passes == 0 || ns < 20_000 {
            return;
        }
        let learned = (pass_ps.load(Relaxed) * (MEMORY - 1) + ns * 1000 / passes) / MEMORY;
        pass_ps.store(learned.max(1), Relaxed);
    }
}
