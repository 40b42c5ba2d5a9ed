//! The page that wants a token.

use pricemonitor_config::SecretString;

use super::*;

#[test]
fn without_the_token_a_person_is_told_how_to_open_the_page_and_can() {
    let Some(mut browser) = browser(DESKTOP) else { return };
    let memory = Arc::new(Memory::default());
    samples::tickets(&memory, now(), 3, 20);
    let options = Options { token: Some(SecretString::new("open & sesame")), ..Options::default() };
    let served = serve(memory, options);
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, look) in [("locked-light", DESKTOP), ("locked-phone-dark", Look { dark: true, ..PHONE })] {
        browser.look(look);
        browser.open(&url(&served, ""));
        browser.wait("document.querySelector('#token') && document.fonts.ready");
        assert_eq!(browser.text("h2"), "This page wants a token");
        assert_fits(&mut browser);
        std::fs::write(folder.join(format!("{name}.png")), browser.picture()).unwrap();
    }
    let styled = browser.eval("getComputedStyle(document.querySelector('.card')).borderTopLeftRadius");
    assert_eq!(styled, "14px", "its style came without the token");
    assert_eq!(browser.eval("document.activeElement.id"), "token");

    let try_one = |browser: &mut Browser, token: &str| {
        browser.eval(&format!(
            "(document.querySelector('#token').value = '{token}', document.querySelector('form').requestSubmit())"
        ));
    };
    try_one(&mut browser, "sesame");
    browser.wait("document.querySelector('#wrong') && !document.querySelector('#wrong').hidden");
    try_one(&mut browser, "open & sesame");
    browser.wait("document.querySelector('#history') && document.querySelector('#live')");
    browser.wait(DRAWN);
    assert_eq!(browser.eval("location.search.includes('sesame')"), false);
    // From now on the browser remembers it.
    browser.open(&url(&served, ""));
    browser.wait(DRAWN);
}
