//! Taking another configuration.

use std::path::{Path, PathBuf};

use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use tokio::task::spawn_blocking;
use waypost_proxy::{ReloadError, ReloadFrom};

use crate::{
    app::Shared,
    respond::{Raw, Refusal, object},
};

/// Where the configuration is. Dashboards send both empty for the files that are in force.
#[derive(Debug, Default, Deserialize)]
struct Wanted {
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    payload: Option<String>,
}

pub(super) async fn reload(State(app): State<Shared>, Raw(body): Raw) -> Result<StatusCode, Refusal> {
    let wanted = if body.trim_ascii().is_empty() { Wanted::default() } else { object(&body)? };
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let from = match (given(wanted.payload), given(wanted.path)) {
        (Some(payload), _) => ReloadFrom::Text(payload),
        (None, Some(path)) => ReloadFrom::Path(inside(app.settings.data_folder.clone(), path).await?),
        (None, None) => ReloadFrom::Files,
    };
    let Some(reading) = app.settings.reading.clone() else {
        return Err(Refusal::bad("this program cannot be given another configuration"));
    };
    // It goes on when the client does not wait for it.
    let control = app.control.clone();
    let reloading = tokio::spawn(async move { control.reload(&reading, from).await });
    match reloading.await {
        Ok(Ok(_)) => Ok(StatusCode::NO_CONTENT),
        Ok(Err(error)) => Err(refusal(error)),
        Err(_) => Err(Refusal::bad("the program is stopping")),
    }
}

/// A path in the folder, with links followed. Whether a file outside of it exists is not told.
async fn inside(folder: PathBuf, path: String) -> Result<PathBuf, Refusal> {
    let found = spawn_blocking(move || {
        let root = folder.canonicalize().ok()?;
        let path = root.join(Path::new(&path)).canonicalize().ok()?;
        (path.starts_with(&root) && path.is_file()).then_some(path)
    });
    let found = found.await.ok().flatten();
    found.ok_or(Refusal::of(StatusCode::BAD_REQUEST, "path: there is no such file in the data folder"))
}

fn refusal(error: ReloadError) -> Refusal {
    match error {
        ReloadError::Invalid { rendered, diagnostics } => Refusal::bad(rendered).with(diagnostics),
        error @ (ReloadError::Unreadable { .. } | ReloadError::Refused { .. } | _) => {
            Refusal::bad(error.to_string())
        }
    }
}
