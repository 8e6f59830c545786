// SPDX-License-Identifier: MIT
//! waits [ROUNDS]: as waits.c, in Rust: each wait in a function of its own, most of them deep within the standard library. Prints the rounds
//! and what sync_all took, as JSON. Built by the test that uses it.
use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

#[inline(never)]
fn nap() {
    std::thread::sleep(Duration::from_millis(5));
    black_box(());
}

#[inline(never)]
fn save(file: &mut File) -> Duration {
    file.write_all(&[b'x'; 4096]).unwrap();
    let began = Instant::now();
    file.sync_all().unwrap();
    black_box(began.elapsed())
}

#[inline(never)]
fn queue_up(lock: &Mutex<u64>) {
    *lock.lock().unwrap() += 1;
    black_box(());
}

#[inline(never)]
fn fetch(link: &mut UnixStream) {
    let mut byte = [0];
    link.write_all(b"a").unwrap();
    link.read_exact(&mut byte).unwrap();
    black_box(byte);
}

#[inline(never)]
fn hold_lock(lock: &Mutex<u64>, meet: &Barrier, rounds: u32) {
    for _ in 0..rounds {
        let held = lock.lock().unwrap();
        meet.wait();
        std::thread::sleep(Duration::from_millis(4));
        drop(held);
        meet.wait();
    }
}

#[inline(never)]
fn answer(mut link: UnixStream) {
    let mut byte = [0];
    while link.read_exact(&mut byte).is_ok() {
        std::thread::sleep(Duration::from_millis(3));
        link.write_all(&byte).unwrap();
    }
}

fn main() {
    let rounds: u32 = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(50);
    let path = format!("waits-{}", std::process::id());
    let mut file = File::create(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let lock = Arc::new(Mutex::new(0));
    let meet = Arc::new(Barrier::new(2));
    let (its_lock, its_meet) = (lock.clone(), meet.clone());
    let holder = std::thread::spawn(move || hold_lock(&its_lock, &its_meet, rounds));
    let answerer = std::thread::spawn(move || answer(theirs));
    let mut saved = Duration::ZERO;
    for _ in 0..rounds {
        meet.wait();
        queue_up(&lock);
        meet.wait();
        nap();
        saved += save(&mut file);
        fetch(&mut ours);
    }
    holder.join().unwrap();
    drop(ours);
    answerer.join().unwrap();
    println!("{{\"rounds\": {rounds}, \"save_off\": {}}}", saved.as_nanos());
}
