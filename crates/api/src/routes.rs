//! What is answered by whom.

use axum::{
    Router,
    extract::{Path, State},
    http::HeaderMap,
    middleware::from_fn_with_state,
    response::{Redirect, Response},
    routing::get,
};

use crate::{app::Shared, clash, files, guard::guard, metrics, own, page, respond::Refusal};

/// Everything that the interface answers, behind its guard.
pub(crate) fn routes(app: Shared) -> Router {
    Router::new()
        .merge(clash::routes())
        .merge(own::routes())
        .route("/metrics", get(metrics::show))
        .route("/ui", get(async || Redirect::temporary("/ui/")))
        .route("/ui/", get(front))
        .route("/ui/{*name}", get(file))
        .fallback(async || Refusal::NOT_FOUND)
        .method_not_allowed_fallback(async || Refusal::NO_SUCH_METHOD)
        .layer(from_fn_with_state(app.clone(), guard))
        .with_state(app)
}

async fn front(State(app): State<Shared>, headers: HeaderMap) -> Response {
    page_file(&app, "", headers).await
}

async fn file(
    State(app): State<Shared>,
    name: Result<Path<String>, axum::extract::rejection::PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Path(name) = name.map_err(|_| Refusal::NOT_FOUND)?;
    Ok(page_file(&app, &name, headers).await)
}

async fn page_file(app: &Shared, name: &str, headers: HeaderMap) -> Response {
    match &app.settings.external_ui {
        Some(folder) => files::answer(folder.clone(), name.to_owned(), headers).await,
        None => page::answer(name, &headers),
    }
}
