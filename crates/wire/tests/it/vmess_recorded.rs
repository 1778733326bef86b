//! Requests that other programs sent, recorded on a socket: a `dokodemo-door` of V2Ray 4.34 and a `direct`
//! inbound of sing-box 1.14, each with a VMess outbound of that id and `security`, and "hello from afar"
//! sent into it.

use std::sync::Arc;

use rand::{SeedableRng as _, rngs::StdRng};
use waypost_wire::{VmessSecurity, VmessServer, VmessUser};

use crate::tunnel::{accept, receive};

const ID: &str = "b831381d-6324-4d53-ad4f-8cda48b30811";

#[track_caller]
fn check(now: u64, hex: &str, security: VmessSecurity) {
    let digit = |digit: u8| u8::try_from(char::from(digit).to_digit(16).unwrap()).unwrap();
    let wire: Vec<u8> = hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect();
    let users: Arc<[VmessUser]> = Arc::from([VmessUser::new(&ID.parse().unwrap())]);
    let mut server = VmessServer::new(users, now, &mut StdRng::seed_from_u64(1), |_| true);
    let (mut accepted, rest) = accept(&mut server, &wire, &[1]).unwrap().unwrap();
    assert_eq!((accepted.target.to_string().as_str(), accepted.security), ("127.0.0.1:20007", security));
    let received = receive(&mut accepted.opener, &rest, &[1]).unwrap();
    assert_eq!((received.plain.as_slice(), received.unread), (&b"hello from afar"[..], 0));
}

#[test]
fn v2ray_pads_aes() {
    let hex = "7a192150b25bd38af6669942a8a577e7433436c3536af2783fa5a4200ee3b3a57c31dc26e12d8aeb3a0165b31322817f\
        a1dbc1d11eb0fe26b911fe7598dba4cd579c32293506ccadd15f8e9e42b03a412cec22a0975453c15265c2c6abcf6c0b\
        164c670bf3a0c154cf80f86b828d88a17d4fa02dc73424567cf2d9e3cfb88a541f2126aa6d87680b181699dd86b626a4\
        5460e15f8b6b2d7eeb7834ac0d931603bb7e0747954582";
    check(1_795_420_533, hex, VmessSecurity::Aes128Gcm);
}

#[test]
fn v2ray_masks_what_is_not_encrypted() {
    let hex = "001e6bc021300d666ccbd55848309b93c13c02a76539abb6c77f13147b8f90a3da5c6a6ba5d510d1abd9163c4ff9266c\
        ec7547c38dfe6f606b469582ff814fecd7114cce448feb0448a6b94d01e0ba7a12a74b15f53b9c68af2e50adc4d493d7\
        96a73a7340bee7a5570d08e12824a3b355630b9d669d9bcac4eaab68656c6c6f2066726f6d2061666172";
    check(1_795_420_534, hex, VmessSecurity::None);
}

#[test]
fn sing_box_pads_chacha() {
    let hex = "01898de2bcca8cb6bc00cda2f99ac5c53c61788c741465091a9d79d080d554a42ebe99940d44c0a5577f2e2f56f89e05\
        65ae7027c966077d7c0b45a9cb3b88abe1243fbb6bd943ef0e0bcbe043128dc972228a20ab231c29d297df32c17cb0e0\
        330a6a92b5e690b62e5b0f4dd95a3bd6308fe17d09b2b5916c2aa470ff9307008c27a704b104525925bd16f4660ca7c9\
        71f4e147e9bec4fbe8a1e0adc4f6fac015c8ccdfab9f4bb706b511f204f27f74fd55be084b50e7e08976f3bc36ad24ec\
        b966702b7fec7ad531";
    check(1_795_420_535, hex, VmessSecurity::ChaCha20Poly1305);
}

#[test]
fn sing_box_pads_and_encrypts_lengths_of_aes() {
    let hex = "303ba933d808051ad29e3b8ef7a360ae7a010b1c26a348b4625a0d7a87132417ddace01133a2115e4e264d05a61634ce\
        2e024f566a72f02ef7bf920b0e0f44c0d69f7e9411a8b895eda6d9379bfc4297d2a7035020d9b4dc6805abb2663306c8\
        5f1317412e6c28778f3b7376b7630119d53b3fdfc5d0f365ee29e09584f51cd7fcaebd4e61129b28a3dcc0de6f6d1d26\
        02aa275133cb7cd2568e0a567421e96a417d0f0870e3a529486ad4c5094c183d8c3061e03ab126527341";
    check(1_795_420_535, hex, VmessSecurity::Aes128Gcm);
}

#[test]
fn sing_box_encrypts_lengths_of_chacha() {
    let hex = "f244c43b0a474b6905e08bc5faa4d89959f31e2561580b5ecabece87e95e8498090c54c50a70f63288f0c08149804020\
        4b78dde163f7dd9f1c5a4d35065f8c8697751976a90b6b6548fec2a1ca1740f0ffbd34bf3a30c0aebe21b9cc4fca5cc3\
        fe6382703822f593c75042d379ec0953fe0d2f91d09f8261be2a90945067be78c5986715e20877335a54b59645319015\
        1c32aa78ba7fa4abe1c1f213605de821cd827f00ce266f1661";
    check(1_795_420_536, hex, VmessSecurity::ChaCha20Poly1305);
}
