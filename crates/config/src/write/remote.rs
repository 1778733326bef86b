//! Remote control, with the same keys in both dialects.

use super::json::Fields;
use crate::model::ClashApi;

/// The object.
pub(super) fn clash_api(api: &ClashApi) -> Fields {
    let mut written = Fields::default();
    written.put_some("external_controller", api.listen.as_ref().map(|listen| listen.value.to_string()));
    written.put_some("secret", api.secret.as_ref().map(|secret| secret.expose()));
    written.put_some("default_mode", api.default_mode.as_deref());
    written.put_some("external_ui", api.external_ui.as_ref().map(|folder| &*folder.value));
    let texts = |texts: &[Box<str>]| texts.iter().map(|text| text.to_string()).collect::<Vec<String>>();
    written.put_filled("access_control_allow_origin", texts(&api.allowed_origins));
    written.put_if("access_control_allow_private_network", api.allow_private_network);
    written.put_filled("allowed_hosts", texts(&api.allowed_hosts));
    written
}
