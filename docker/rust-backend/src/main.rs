// SPDX-License-Identifier: MIT
//! backend: a small web forum with a page that is slow for a known reason, on hyper and tokio. GET /truth tells what
//! really took the time. The C backend beside it has the same pages.

mod calibrate;
mod causes;
mod handle;
mod options;
mod slow;
mod truth;
mod waits;
mod work;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use hyper::server::conn::AddrIncoming;
use hyper::service::{make_service_fn, service_fn};
use hyper::Server;
use tokio::signal::unix::{signal, Signal, SignalKind};
use tokio::sync::Notify;

use crate::calibrate::Amounts;
use crate::causes::Causes;
use crate::handle::handle_request;
use crate::options::Options;
use crate::slow::Backend;

async fn wait_for_end(signals: [Signal; 2]) {
    let end = Arc::new(Notify::new());

    for mut signal in signals {
        let end = Arc::clone(&end);
        tokio::spawn(async move {
            signal.recv().await;
            end.notify_one();
        });
    }
    end.notified().await;
}

async fn serve(backend: Arc<Backend>) -> Result<(), Box<dyn std::error::Error>> {
    let host: IpAddr = backend.options.host.parse().map_err(|error| format!("--host {}: {error}", backend.options.host))?;
    let port = backend.options.port;
    let ends = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    let mut incoming = AddrIncoming::bind(&SocketAddr::new(host, port))
        .map_err(|error| format!("listen on {host} port {port}: {error}; --port 0 takes a free one"))?;

    incoming.set_nodelay(true);
    backend.truth.reset();
    println!("listening on http://{}", incoming.local_addr());
    let service = make_service_fn(move |_| {
        let backend = Arc::clone(&backend);
        async move { Ok::<_, Infallible>(service_fn(move |request| handle_request(Arc::clone(&backend), request))) }
    });
    let server = Server::builder(incoming).serve(service);
    // A graceful end would wait for idle kept-alive connections: the end of the runtime ends them.
    tokio::spawn(server);
    wait_for_end(ends).await;
    Ok(())
}

fn run(options: Options) -> Result<(), Box<dyn std::error::Error>> {
    let number = AtomicUsize::new(1);
    let amounts = Amounts::calibrate(&options.split, options.work_us);
    let causes = Causes::new(&options.folder)
        .map_err(|error| format!("{}: {error}; --folder names another place", options.folder))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(options.threads)
        .thread_name_fn(move || format!("worker-{}", number.fetch_add(1, Ordering::Relaxed)))
        .enable_all()
        .build()?;
    let backend = Arc::new(Backend {
        options,
        amounts,
        causes,
        truth: Default::default(),
        session_lock: Default::default(),
        db_idle: Default::default(),
    });

    runtime.block_on(serve(backend))
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => return ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("backend: {text}");
            return ExitCode::from(2);
        }
    };

    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("backend: {error}");
            ExitCode::FAILURE
        }
    }
}
