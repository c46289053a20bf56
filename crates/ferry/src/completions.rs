//! `ferry completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::io::Write;

/// For which shell.
#[derive(Args)]
#[command(after_help = "\
For this shell alone:   source <(ferry completions bash)
For good, with bash:    ferry completions bash > ~/.local/share/bash-completion/completions/ferry
          with zsh:     ferry completions zsh > \"${fpath[1]}/_ferry\"
          with fish:    ferry completions fish > ~/.config/fish/completions/ferry.fish")]
pub(crate) struct CompletionsArgs {
    #[arg(value_enum)]
    shell: Shell,
}

/// Writes the script to standard output.
pub(crate) fn print(args: &CompletionsArgs) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::Cli::command(), "ferry", &mut script);
    Ok(std::io::stdout().lock().write_all(&script)?)
}
