//! `lab-gateway`: the gateway as a program of its own.
#![forbid(unsafe_code)]
#![warn(clippy::pedantic, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use lab_gateway::{Basic, Config, Gateway, TlsFiles};
use tokio::signal::unix::{SignalKind, signal};

/// A reverse proxy before a registry or an AWS emulator, with scripted faults and a journal
#[derive(Parser)]
struct Args {
    /// Where clients connect
    #[arg(long, value_name = "ADDR")]
    listen: SocketAddr,
    /// The server behind, `http://HOST:PORT`
    #[arg(long, value_name = "URL")]
    upstream: String,
    /// Certificate chain in PEM; makes the listener speak TLS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Credentials that every /v2/ request must carry
    #[arg(long, value_name = "USER:PASSWORD")]
    basic: Option<Basic>,
    /// Where the control API listens, in plain HTTP
    #[arg(long, value_name = "ADDR")]
    control: Option<SocketAddr>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab-gateway: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until told to stop.
async fn run(args: Args) -> io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let tls = args.tls_cert.zip(args.tls_key).map(|(cert, key)| TlsFiles { cert, key });
    let gateway = Gateway::start(Config {
        listen: args.listen,
        upstream: args.upstream,
        tls,
        basic: args.basic,
        control: args.control,
    })
    .await?;
    // One line once both ports are open: scripts wait for it.
    match gateway.control_addr() {
        Some(control) => println!("listening on {} control {control}", gateway.addr()),
        None => println!("listening on {}", gateway.addr()),
    }
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    gateway.shutdown().await;
    Ok(())
}
