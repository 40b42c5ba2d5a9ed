//! One function per question.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::Sse;
use axum::response::{IntoResponse, Response};
use pricemonitor_store::query::{AlertRow, Bar, Facets, History, HourCell, Statistics};
use serde::Serialize;

use super::failure::Failure;
use super::question::Question;
use super::{Context, OPENAPI};
use crate::live;
use crate::options::Notice;

type Answer<T> = Result<Json<T>, Failure>;

/// Who answers.
#[derive(Serialize)]
pub(super) struct About {
    title: String,
    version: &'static str,
}

pub(super) async fn about(State(context): State<Context>, _: Question) -> Json<About> {
    Json(About { title: context.title.to_string(), version: context.version })
}

pub(super) async fn facets(State(context): State<Context>, _: Question) -> Answer<Facets> {
    Ok(Json(context.ask(context.prices.facets()).await?))
}

pub(super) async fn statistics(State(context): State<Context>, question: Question) -> Answer<Statistics> {
    let filter = question.filter()?;
    Ok(Json(context.ask(context.prices.statistics(&filter)).await?))
}

pub(super) async fn history(State(context): State<Context>, question: Question) -> Answer<History> {
    let filter = question.filter()?;
    let lines = question.number("lines", 12, 1..=50)?;
    let points = question.number("points", 500, 10..=5000)?;
    Ok(Json(context.ask(context.prices.history(&filter, lines, points)).await?))
}

pub(super) async fn distribution(State(context): State<Context>, question: Question) -> Answer<Vec<Bar>> {
    let filter = question.filter()?;
    let bars = question.number("bars", 30, 1..=200)?;
    Ok(Json(context.ask(context.prices.distribution(&filter, bars)).await?))
}

pub(super) async fn hours(State(context): State<Context>, question: Question) -> Answer<Vec<HourCell>> {
    let filter = question.filter()?;
    let zone = question.zone("zone")?;
    Ok(Json(context.ask(context.prices.hour_profile(&filter, &zone)).await?))
}

pub(super) async fn alerts(State(context): State<Context>, question: Question) -> Answer<Vec<AlertRow>> {
    let filter = question.filter()?;
    let limit = question.number("limit", 50, 1..=1000)?;
    Ok(Json(context.ask(context.prices.alerts(&filter, limit)).await?))
}

pub(super) async fn notices(State(context): State<Context>, _: Question) -> Json<Vec<Notice>> {
    Json((context.notices)())
}

pub(super) async fn live(
    State(context): State<Context>,
    headers: HeaderMap,
    _: Question,
) -> Result<Response, Failure> {
    let known = headers.get("last-event-id").and_then(|id| live::cursor(id.to_str().ok()?));
    let Some(events) = context.live.listen(known).await else {
        return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "too many pages are listening")
            .remedy("close some, or load the page again later"));
    };
    let mut response = Sse::new(events).into_response();
    // A proxy that collects answers would hold the events back.
    response
        .headers_mut()
        .insert(header::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

pub(super) async fn openapi(_: Question) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}
