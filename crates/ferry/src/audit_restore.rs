//! `ferry audit acknowledge-restore`: a database that was put back from a backup is taken up.

use crate::checkpoints::LogArgs;
use crate::serve::inside;
use clap::Args;
use ferry_control::audit::restored::acknowledge_restore;

#[derive(Args)]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    log: LogArgs,
}

pub(crate) async fn acknowledge(args: RestoreArgs) -> anyhow::Result<()> {
    let done = acknowledge_restore(&args.log.parts().await?).await.map_err(inside)?;
    println!("a new log begins: {}", done.first.origin);
    println!("{} chains say that the database was put back", done.chains);
    println!("{} states of exports are not believed any more: each sends everybody again", done.states);
    println!("{} runs that had begun to send come to their end at the next start", done.runs);
    println!("{} people stay suppressed", done.suppressed);
    println!(
        "what was removed after the backup was made is there again, without its keys: remove it again; \
         `ferry audit key` shows the new log's key, which verifiers need"
    );
    Ok(())
}
