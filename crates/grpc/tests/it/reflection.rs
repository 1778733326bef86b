//! Clients can ask what there is.

use prost::Message;
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, ServerReflectionResponse, server_reflection_request::MessageRequest,
    server_reflection_response::MessageResponse,
};

use crate::world::{CONFIG, World};

async fn ask(world: &World, service: &str, request: MessageRequest) -> MessageResponse {
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let mut answers = world
        .stream::<_, ServerReflectionResponse>(&format!("{service}/ServerReflectionInfo"), request)
        .await
        .unwrap();
    answers.message().await.unwrap().unwrap().message_response.unwrap()
}

#[tokio::test]
async fn services_and_their_messages_are_told() {
    let world = World::start(CONFIG).await;
    for service in ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"] {
        let listed = ask(&world, service, MessageRequest::ListServices(String::new())).await;
        let MessageResponse::ListServicesResponse(listed) = listed else { panic!("{listed:?}") };
        let names: Vec<String> = listed.service.into_iter().map(|service| service.name).collect();
        for name in ["v2ray.core.app.stats.command.StatsService", "xray.app.router.command.RoutingService"] {
            assert!(names.iter().any(|known| known == name), "{names:?}");
        }
        let symbol = "xray.app.stats.command.QueryStatsRequest".to_owned();
        let file = ask(&world, service, MessageRequest::FileContainingSymbol(symbol)).await;
        let MessageResponse::FileDescriptorResponse(file) = file else { panic!("{file:?}") };
        assert!(!file.file_descriptor_proto.is_empty() && file.encoded_len() > 100);
    }
}
