//! Who the workers are to the cluster: nobody with any right.

use k8s_openapi::api::core::v1::ServiceAccount;

use crate::context::Context;

/// The workers' ServiceAccount; no token of it is mounted.
pub fn build(context: &Context<'_>) -> ServiceAccount {
    ServiceAccount {
        metadata: context.metadata(name(context), None),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// Its name.
pub fn name(context: &Context<'_>) -> String {
    context.name("workers")
}
