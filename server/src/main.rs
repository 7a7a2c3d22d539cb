//! `vitrine-server`.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::from(vitrine_server::cli::run(std::env::args_os()))
}
