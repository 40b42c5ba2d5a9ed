//! Counts every call of the API where all of them pass: reads, writes, watches, the Lease and Events.

use std::task::{Context, Poll};

use futures::future::{BoxFuture, FutureExt as _};
use hyper::{Method, Request, Response, StatusCode, Uri};
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use tower::{Layer, Service};

use crate::metrics::Metrics;

/// A client whose calls are counted.
///
/// # Errors
/// When the configuration makes no client.
pub(crate) fn client(config: Config, metrics: Metrics) -> Result<Client, kube::Error> {
    Ok(ClientBuilder::try_from(config)?.with_layer(&Counting(metrics)).build())
}

struct Counting(Metrics);

impl<S> Layer<S> for Counting {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, metrics: self.0.clone() }
    }
}

/// A service of HTTP whose answers are counted when their head is there: a watch counts once, when it begins.
struct Counted<S> {
    inner: S,
    metrics: Metrics,
}

impl<S, B> Service<Request<Body>> for Counted<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (verb, resource) = named(request.method(), request.uri());
        let (answer, metrics) = (self.inner.call(request), self.metrics.clone());
        async move {
            let answer = answer.await;
            let result = answer.as_ref().map_or("away", |answer| result(answer.status()));
            metrics.called(verb, &resource, result);
            answer
        }
        .boxed()
    }
}

fn result(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "not-found",
        StatusCode::CONFLICT => "conflict",
        StatusCode::TOO_MANY_REQUESTS => "busy",
        status if status.is_success() => "ok",
        status if status.is_server_error() => "failed",
        _ => "refused",
    }
}

/// Verb and resource as RBAC calls them. The operator asks for a few resources alone, so these words are few.
fn named(method: &Method, uri: &Uri) -> (&'static str, String) {
    let parts: Vec<&str> = uri.path().split('/').filter(|part| !part.is_empty()).collect();
    let within = match parts.as_slice() {
        ["api", _, within @ ..] | ["apis", _, _, within @ ..] => within,
        _ => &[],
    };
    let within = match within {
        ["namespaces", _, within @ ..] if !within.is_empty() => within,
        within => within,
    };
    let (resource, named) = match within {
        [] => return ("get", "discovery".to_owned()),
        [resource] => ((*resource).to_owned(), false),
        [resource, _] => ((*resource).to_owned(), true),
        [resource, _, sub, ..] => (format!("{resource}/{sub}"), true),
    };
    let watches = uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"));
    let verb = match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if named => "delete",
        Method::DELETE => "deletecollection",
        _ if watches => "watch",
        _ if named => "get",
        _ => "list",
    };
    (verb, resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_and_resources_are_those_of_rbac_and_no_name_is_among_them() {
        let leases = "/apis/coordination.k8s.io/v1/namespaces/ns/leases";
        for (method, uri, verb, resource) in [
            ("GET", "/apis", "get", "discovery"),
            ("GET", "/apis/apps/v1", "get", "discovery"),
            ("GET", "/api/v1/namespaces/ns/secrets/one?", "get", "secrets"),
            ("GET", "/apis/apps/v1/deployments?&limit=500", "list", "deployments"),
            (
                "GET",
                "/apis/apps/v1/namespaces/ns/deployments?&watch=true&timeoutSeconds=200",
                "watch",
                "deployments",
            ),
            ("GET", "/api/v1/namespaces/ns", "get", "namespaces"),
            ("POST", leases, "create", "leases"),
            ("PUT", &format!("{leases}/operator"), "update", "leases"),
            ("POST", "/apis/events.k8s.io/v1/namespaces/ns/events", "create", "events"),
            (
                "PATCH",
                "/apis/pricemonitor.dev/v1alpha1/namespaces/ns/pricemonitors/one/status?&fieldManager=x",
                "patch",
                "pricemonitors/status",
            ),
            ("DELETE", "/apis/batch/v1/namespaces/ns/jobs/one", "delete", "jobs"),
        ] {
            let (method, uri): (Method, Uri) = (method.parse().unwrap(), uri.parse().unwrap());
            assert_eq!(named(&method, &uri), (verb, resource.to_owned()), "{method} {uri}");
        }
        let results = [200, 404, 409, 429, 503, 403].map(|code| result(StatusCode::from_u16(code).unwrap()));
        assert_eq!(results, ["ok", "not-found", "conflict", "busy", "failed", "refused"]);
    }
}
