//! The binary: parses the command line, runs the command, and turns errors into exit codes.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use covered_server::check;
use covered_server::config::{self, Command, InvalidSetting};
use covered_server::identity::bindings;
use covered_server::store::storage::Storage;

/// Time for blocking threads to end, after everything else: a read from a pipe or a lost file server may never end.
const BLOCKING_TIMEOUT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    // reqwest and rustls are built without a default crypto provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments = std::env::args_os().skip(1);
    match config::command(arguments, |name| std::env::var_os(name), Some(Path::new(".env"))) {
        Ok(Command::Print(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Ok(Command::Serve(config)) => run(covered_server::run(*config)),
        Ok(Command::Check(config)) => run(async move {
            let findings = check::run(&config).await;
            print!("{}", check::table(&findings));
            anyhow::ensure!(!check::failed(&findings), "some checks failed");
            Ok(())
        }),
        Ok(Command::Rebind(config, repository)) => run(async move {
            let storage = Storage::new(&config.storage, None).map_err(InvalidSetting::from)?;
            println!("{}", bindings::rebind(&storage, &repository).await?);
            Ok(())
        }),
        Ok(Command::HealthCheck(config)) => run(async move { check::health(&config).await }),
        Err(problems) => {
            for problem in problems {
                eprintln!("covered-server: {problem}");
            }
            invalid_settings()
        }
    }
}

fn invalid_settings() -> ExitCode {
    eprintln!("covered-server: not started because of invalid settings; see covered-server --help");
    ExitCode::from(2)
}

fn run(work: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("covered-server: could not start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(work);
    runtime.shutdown_timeout(BLOCKING_TIMEOUT);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("covered-server: {error:#}");
            if error.is::<InvalidSetting>() { invalid_settings() } else { ExitCode::FAILURE }
        }
    }
}
