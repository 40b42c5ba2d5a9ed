//! `pricemonitor health`: for shell-less images and scripts.

use crate::args::HealthArgs;
use crate::exit::{Failure, Result};
use crate::input::small_runtime;
use crate::out::say;

/// Asks `/readyz`.
pub(crate) fn run(args: &HealthArgs) -> Result<()> {
    let url = format!("{}/readyz", args.url.trim_end_matches('/'));
    let wait = args.wait();
    small_runtime()?.block_on(async {
        let client = reqwest::Client::builder().timeout(wait).no_proxy().build().map_err(Failure::runtime)?;
        let answer = client.get(&url).send().await.map_err(|error| {
            Failure::runtime(format!(
                "{url} does not answer ({}): is `pricemonitor up` running there?",
                why(&error)
            ))
        })?;
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        if status.is_success() {
            return say!("ready");
        }
        Err(Failure::runtime(format!("not ready ({status}): {}", text.trim())))
    })
}

fn why(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "time-out"
    } else if error.is_connect() {
        "connection refused"
    } else {
        "no valid answer"
    }
}
