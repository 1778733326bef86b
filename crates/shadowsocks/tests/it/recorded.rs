//! Requests and datagrams that sing-box 1.14 sent, recorded on a socket: `direct` inbounds in front of
//! Shadowsocks outbounds, and "hello from afar" sent into them.

use waypost_shadowsocks::{Clock, Method, Salts, Server};
use waypost_wire::{Machine as _, Open as _, Opened, Step};

use crate::parties::rng;

const KEY_16: &str = "AAECAwQFBgcICQoLDA0ODw==";
const KEY_32: &str = "AAECAwQFBgcICQoLDA0ODwABAgMEBQYHCAkKCwwNDg8=";
const USER_16: &str = "EBESExQVFhcYGRobHB0eHw==";
const USER_32: &str = "EBESExQVFhcYGRobHB0eHxAREhMUFRYXGBkaGxwdHh8=";
const TARGET: &str = "127.0.0.1:20007";
const PAYLOAD: &[u8] = b"hello from afar";

fn server(method: Method, user: Option<&str>, now: u64) -> Server {
    let password = match (method.is_2022(), method.key_bytes()) {
        (false, _) => "x",
        (true, 16) => KEY_16,
        (true, _) => KEY_32,
    };
    let users = user.map(|password| ("ben".into(), password));
    Server::try_new(method, password, users, Salts::new(), Clock::new(move || now)).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |digit: u8| u8::try_from(char::from(digit).to_digit(16).unwrap()).unwrap();
    hex.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

#[track_caller]
fn check_request(method: Method, user: Option<&str>, now: u64, hex: &str) {
    let step = server(method, user, now).handshake(&mut rng()).advance(&bytes(hex));
    let Step::Done { output: mut accepted, mut rest } = step else { panic!("{step:?}") };
    assert_eq!((accepted.target.to_string().as_str(), accepted.user.is_some()), (TARGET, user.is_some()));
    let mut plain = accepted.first;
    while let Opened::Piece { plain: piece, consumed } = accepted.opener.open(&mut rest).unwrap() {
        plain.extend_from_slice(&rest[piece]);
        rest.drain(..consumed);
    }
    assert_eq!((plain.as_slice(), rest.len()), (PAYLOAD, 0));
}

#[track_caller]
fn check_datagram(method: Method, user: Option<&str>, now: u64, hex: &str) {
    let mut packet = bytes(hex);
    let mut datagrams = server(method, user, now).datagrams(&mut rng());
    let received = datagrams.open(([127, 0, 0, 1], 1).into(), &mut packet).unwrap();
    assert_eq!((received.target.to_string().as_str(), received.user.is_some()), (TARGET, user.is_some()));
    assert_eq!(&packet[received.payload], PAYLOAD);
}

#[test]
fn requests_of_sing_box_are_read() {
    let hex = "7e1f352dd2a6087973400b9bbec88bbed61ea808ac680106e78194a345efa4547a104d5ca792e2efd6c401a8fa71\
        9ab7aa6608fd076fe23872167066c09677dc2f53a662b51655a521bc375aa83df9c33c47fdff097f12a275bf0fc3\
        ab71ad025d4c0c50ed649a5a97d3";
    check_request(Method::Aes128Gcm, None, 1_795_423_010, hex);
    let hex = "d8249984c77b300604adfaf061e68f75a6b35b973d87a3289825905f148107692846dfb19f8d2b43b69f327f22f4\
        dbc393c3cd193ee6f0c9a11b933affe4764e21fb6810d682498965ac89ec56ded729df7f18bf9bab352b7161ae9d\
        22aec4a53bff71e8fe7c2ccbdfc5c63723555b77ad4d8b47b2c609192f9c";
    check_request(Method::Aes256Gcm, None, 1_795_423_011, hex);
    let hex = "33625c760b74f2608e9bb0582158b5ed677d4d6e8f2203600edd2c06c5007e49c2cb4018bccf93d6e940d303aada\
        09246e30a891085fe1c2c0d526823a9e5b02d4216c1342ab04cd7d3af109da3498678de628e0f0999feefcc10c11\
        c829e432363c194c9c2fa4b12bf6f95d47dff90418e3a62a7a8bac2f735a";
    check_request(Method::ChaCha20Poly1305, None, 1_795_423_011, hex);
    let hex = "52fe44c3a1ace0828adc358063dbb3aac5cde879e868db9bd5a3ab0f45648a77a6804b3de1f96a4c2445627a23fc\
        8948d89e56ba79e83e526ea7fc003e2a9db2736b23f7042186182de7255f92931f7044fbe678522f514eb12e1155\
        e79165f95fc6144abf2b0fde96a2e199ae1598af702c009fdb04351efe0e";
    check_request(Method::XChaCha20Poly1305, None, 1_795_423_012, hex);
    let hex = "9476d0c9ce8c8c7b38be1ee1d600ba9a58a6a247dd34e0248c7ef7bc51649f51efc0d2b72340064bc2b4ea1d1235\
        e08eecd7fa042967ea7fcbb09b89bb2409f07d2f92e89885eae5d92bbb4695337ecdbf34f8e86cd6adb4d2473931\
        8f6a18e54c400f2de715cc260921786fc3f1dc4c5e2280be419657260507df9df7e35bf8fb5e1a4e487d6dbd8f7c\
        531b221690f4d868a580905aeb9da3403c334343971d49fb2327a915b51abe83bd9f88d8b4e81593bb2cf6139a31\
        65f6eb58892939b194a003be0828b125a03f2f4fe8898e11bc75e82d8cd081a8156947836c8f956db214ad466a56\
        7e286f09c994b386d4438a176911a5662545a2895d6029c1718264e5612767542db56344d82b7677259b00b3bbf6\
        23d831b6660525cdcbe3757d5e32ff8f741f67543ec96534d3d6bf9daead06f131133aa71020d8cdc1139cfed18a\
        8a1131c3cd8e4fcddf20855d3f267d21e1630681f160e3946319628220e9233688ab4f2b6bdd8a4d3dc4c6ab4b3b\
        3f03f61a50d0c08dd36a539aacf9af27b05c339b793813e7116176b9e93d318f2830ed10e1412d362f73fa051468\
        7eb27c97a4d425f978b89cc46fba9c40fc472ed50c54c4bdd1b7ed8b44a5db66123d697cd6f61223d00c8ba0923a\
        54d79fffeec7bcd994c158b295b1eccf0fcd9baa6224f3e6051bf2b28651569b31c4129e10de432c26b07ed38983\
        39";
    check_request(Method::Blake3Aes128Gcm, None, 1_795_423_012, hex);
    let hex = "ab7c385c6cf9f59002c14ca0d8b55eafe7b2bb8c3e4f9e49827ea352c71b97806206c03781f5170ccc8ce7dff050\
        9f7e9b85d8ccee2cc4e065b807edbe4b36a8f937437de93975448b0cf563b6b79295f0f2d3b2157f873d781d8782\
        fbd47eb429f584cce5d31db58f9ad7c089f424d0a46e58047d094ae92acda2d10332034d498b384366816210d83b\
        1a5054744c1aa73277c6cf3177155f9e7d79e7abec536edc261e2ff733aa6da3774bc6ac785ae6b65d4f0ca9eed7\
        b05e0a2729d9a2bd9387d950a95b05ed33a14cfb2fda208711c449022fb95c0dc0a8e2504871d96992e0b7ef364b\
        1c765d06aa5f90b05a59a436d149fa2cb0aa88b5ba620e303bbec27982f49de18d479ec9e5727670665d618ff9b3\
        d1bb4ae1364e6630ae59e62df7765c4a70655e5ee183574173e585ad5b0c62ad83d5ee87e74fb1aaae4d3284fce5\
        4b909cfe0ec0bd88bd67331dc259cb6784dde4c39296444da934a691f70aedf5b7a15afdd871";
    check_request(Method::Blake3Aes256Gcm, None, 1_795_423_013, hex);
    let hex = "e36fb6be41efdd75c2071ca0446a546bd4f259d45c35beea12bda0846101cc4509f99f43fbfe35c0f237daa63ab2\
        3b311125c9d1f1c5a8f1ff82a2eedfb34f6a26842f59fc62dad17aefc1ff27a22706b442ce6106b495f599c8d0bd\
        5c67f79212d41a21338258f8cb0fe71d1a1a33a8d31103f9ea85e1787c2e6c3865dc80c91543c3e969bf350c85a3\
        e2ee3dc6da73fb810c669b95b546970157b4c08eceb27437992fe1bda59ecd0c2c2019785452531fcfe9f5cbe47f\
        02a2aafbc91ca1d08595a4c9ea2f6ee7f847ac10670010e9fd4a58fef570ade3fced78bdf60b12d8b91cdf2ed938\
        38052822f1ac9ba0a53612b1be729658146357d038e9497a67d1981fd661b43a78e66635c680f3600d7170d8bf76\
        9bbb3203b1fe91169fc6abd27ac736e7ae562af617f2e8ae1db06a64b19a04412689666bfbdf1499c6a6bdfcbb25\
        7fbb9854d3890a0381859d6ca59508184511296c23e63f85c398093bc54d3e7a70c1fcb85aad2d0b88440e229530\
        634201ae56a8a85d66b94974d6c7ce448a8c4e4caf5bc6c8d9a8d070b588e3f212ddfe93f5b575f6e95a2aca7e74\
        1e2464";
    check_request(Method::Blake3ChaCha20Poly1305, None, 1_795_423_014, hex);
    let hex = "f07e3f5240059aa2100f5aae1d1c233052e97ff7062384b362e570e2a9cef8de7023b13eb3e14ca99bd1c78c533d\
        49156b31ee6eb9d9e0b980386e251d93dc45fac54b7236a6aa4734391c9ff01b3e063e5c83ec3a044fd1297fe51f\
        10ccb4518352fe9da9a98942a19e73b3dd5f7c6056533c795a1d02149b7ae22657ca4b172c6ea0fd243914ba0aa2\
        f1c6e5505ef6b7e545effa3e30f4ee8e98975c5e3420858519c956c53db8568e4bfeac546a8251db0662f15688b6\
        703d3fe0ccaade2034aab421d4354413b28c6b4ec089856e2be28d14d55b746968ee1c5bce95d1dd3ec99ca8b62d\
        d928c2d7cfb2fc5c359d6396b9b274fd3bd7bda94fdabbd6b4cd7ff9236f075388e2d54050afbddca7a768607792\
        8d0e07efb416edcbc2ade2075419f1203cc0db14cea1665ac2647ed1121e92713d73a7e83b4ff9feb40e69b4ef83\
        d2c372b2f24913c2f72f3528401f4b1b3d00a3cebb178ca7dc9f3fc00e4264e78408a125d57e132c6b2f4f2dece6\
        06e1e202bfc9a22927af94aa55c7bce674af51142412c3b84cf7e04c397ca4933def9553d8b1e8d14b750971be11\
        387c161b8a7b149a43f7d228dbddb14d361acb1bbe3ab62a71e40138b6955c78df2ad4be6827b67ab6c969262e60\
        b643c112ca6da474ada20239e53b5a4783cfb94244509413732f211ab46d9d02b886a65080dad43ecdb852c10ce6\
        057728a9bc9353e89184999eaaba45e843a639551495a6ef06b2108de452c36b6b467f19aadfb3c9db39f42f7169\
        be330a33811087d8edb5e576dafd95f7000d913d23eec54382400312b2c7a88ff2bcb362f2751e8699211983d854\
        c3e5c13dc3df1cfa6d0893cecee7538a99a43d529b3d8a298a231fc45515a55c7bb7bc027c0b4a9b524c8bf6a20d\
        2f3ab06274ae3d4ec093616b032a0653baa94c328cdec44df5b00fa10d8dad0730e285570371954cd64a6adb7bd9\
        bd637b6850e412088791c4523197f7260fc4ec4c6aabbf9ca11470ca5bfcc5759c8105f601311feeb2e8521991d5\
        d6c684b580064a7c1f8b9e80cb750be1e91c129c013b5930caed4b592e95e7be28bb6ebfd1238df44a5c0ca7093f\
        53e29f0dc2747cf01c4e94a3bb6e79ede744399cb6a170b8aa97b8691b3f21b449f658fc0f0f2e22d585f29d2c5e\
        dc4edf4157b0931201e53b0e66057f6a1093b0354ad080aa509b3444c2536d51b2608d680b32443ccb0a99eee2f1\
        d9c841085e6b59ddf39ad776df92427901357ccb5a965cc9f0eee9abc92475f47eb65663623124f27188468dabce\
        2f39c4c0040941d5b0a3852a941b3c52cb37028029d3b867c457d03d8f74b118549dad3f510b96b405f3140b4fe7\
        060bdc2ca00d03e03ff5672814cf9a9a079125e7aea8d9baa0bb0eb396ff4e60600903231bf9a5114aa0efad6cac\
        0f47ec845b3ebf26e1a25bad";
    check_request(Method::Blake3Aes256Gcm, Some(USER_32), 1_795_423_014, hex);
    let hex = "ea1fbac009d5e865ac6c9fabf70b754aa835e3c7857a9616f88fb325b9d27880f1acf01d0478dd92c156c03fa5f8\
        4832c89ce4f708d7c328cd0b56b2a40e4c298bae0b1c9430bfb5d9cca2b89019438663399394dfe18ce45d64239b\
        25d1828137719b3875b2c917d4e95518781991539d8e498b9a164567b7480528fc488e2c4fa8b536edbbcbf66f70\
        0634ae83adb59c0ef7adada2c207b7b36aa9e954cadd8756e84cefac361980a4bd3c791ed1366f7c43f50dd75728\
        7372e8f66043b59aa64721f277bc8aabae94343c6ea6f674cdc7d7f7de6c61ee46a3b80af655d823eb390719a8e2\
        645cca6756681309f8c9b4b2254dd8675c8b83d67f05316701b40c2c82bad365b4b307bfbd08530cb4273679a2e6\
        5f2b2d283ec9960a99cd1c3d97f0c68db35949bbe4887c12c2e5ac7ef2d6cc2c5e99f1bf3502ba13c4e7eacf351e\
        ba209f421af236bae3d01e37aeba9fc59b5dbf6a6efd5bb057f1651ecbf5e8fbfd1db676ca1c615d6015b0d7e272\
        d712e6fb7b822d9e879d94a004dfca475093cae702e71392b79c9af483841be03e80421bf702eb07d05e91ce6d6b\
        5a98aa4172bbb33d348ef55a7636cb3326c7f40b713f34597ba65cf8d3374b89d5af5216ed8cba99a57d11d802ee\
        f63567c40c14cdc7ae39ed87b2c66bb8400e990a2f37634bdeaa2b8ff97b54f9ba5911bf";
    check_request(Method::Blake3Aes128Gcm, Some(USER_16), 1_795_423_015, hex);
}

#[test]
fn datagrams_of_sing_box_are_read() {
    let hex = "bffba133155a32727c747058f92b27421aaf11326baec924040ba01b21faeeb47328ef3e639ec0315992bbbd1e5d\
        e9825e163c971916";
    check_datagram(Method::Aes128Gcm, None, 1_795_423_010, hex);
    let hex = "fccff233bc942cdaffab1c5da23c98870f3005046e7bc10a01080cbb7df8c180e9fc4525a44e3678790a4220cdcd\
        87570d6b1fb98712c42dd42b72737e5e1bf935eacc471aba";
    check_datagram(Method::Aes256Gcm, None, 1_795_423_011, hex);
    let hex = "643de7ad89fd46a65fa2b7a5f7dad8705876c77877978c16cc52eb6ea4ecb3e4f8633a1a94a4971a4bbd211c9af7\
        41b281b6bb1c88c1e26e432f1b69329134d1f96b57951092";
    check_datagram(Method::ChaCha20Poly1305, None, 1_795_423_011, hex);
    let hex = "a3d9ef4009b3ad965d23f42d30f1906e23d6e229ba4a4deb7dd7f5cf1adeafafc75c1fde987f6111dd3d4e2279b2\
        673af5b9e3c23f916a7eda2075635f8388ecb47764d56fe8";
    check_datagram(Method::XChaCha20Poly1305, None, 1_795_423_012, hex);
    let hex = "2e6360ce425a48aa7a7b6743a359c6953bc937d3f01bc3a8ecfa8defd47a6d4bcc2c8d89d57c4b76295407c57b32\
        6c8bbdca202e7635d8c45a3aff490e670b7f15";
    check_datagram(Method::Blake3Aes128Gcm, None, 1_795_423_013, hex);
    let hex = "744ce338032ef2bd2d3dc9452edbf791be4bb5d9ee629a55ba44eebd5032f3668f2c0f2c0c62456c38feeafb8b0a\
        152aae320c7c1233bd3c10f3983d33775ddb4d";
    check_datagram(Method::Blake3Aes256Gcm, None, 1_795_423_013, hex);
    let hex = "1ae2ca8c16cd635a522af6080f87ff3bfec4d46366fb7104b62b061050e3cdf15b6de2be42824e97d5824c6c74ce\
        b21bcdae53dda8b6b0747dcf26ad59b9473b99aa26b8e8c60b70a691e02fee198cf80930d93bda561fd6e6";
    check_datagram(Method::Blake3ChaCha20Poly1305, None, 1_795_423_014, hex);
    let hex = "eb29ac12303b8875d36d1bfc952b0000955de15f349cbc2608c8fe249feae3476f4b938c493b658c6746ca25479d\
        da82c5ff311faca99a7afb30d95b624f922b7567b585fe601e281cd1d8021ec51fcdce";
    check_datagram(Method::Blake3Aes256Gcm, Some(USER_32), 1_795_423_014, hex);
    let hex = "83747825c1b79c51ff658d0fb4992e0c4ca88dcc75fb1125ba6fc35bdd24e0bdbe837c262b79261f618afb69323e\
        0869aba6cce6b6b6480d99fbb33d19eb5d8f0e3124b672b32feac8c6edfa81a153618d";
    check_datagram(Method::Blake3Aes128Gcm, Some(USER_16), 1_795_423_015, hex);
}
