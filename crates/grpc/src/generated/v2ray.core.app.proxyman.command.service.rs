// Made by `cargo xtask proto` from the files of `crates/grpc/proto`.
/// Generated server implementations.
pub mod handler_service_server {
    use tonic::codegen::*;
    /// Generated trait containing gRPC methods that should be implemented for use with HandlerServiceServer.
    #[async_trait]
    pub trait HandlerService: std::marker::Send + std::marker::Sync + 'static {
        async fn add_inbound(
            &self,
            request: tonic::Request<super::AddInboundRequest>,
        ) -> std::result::Result<
            tonic::Response<super::AddInboundResponse>,
            tonic::Status,
        >;
        async fn remove_inbound(
            &self,
            request: tonic::Request<super::RemoveInboundRequest>,
        ) -> std::result::Result<
            tonic::Response<super::RemoveInboundResponse>,
            tonic::Status,
        >;
        async fn alter_inbound(
            &self,
            request: tonic::Request<super::AlterInboundRequest>,
        ) -> std::result::Result<
            tonic::Response<super::AlterInboundResponse>,
            tonic::Status,
        >;
        /// Xray.
        async fn list_inbounds(
            &self,
            request: tonic::Request<super::ListInboundsRequest>,
        ) -> std::result::Result<
            tonic::Response<super::ListInboundsResponse>,
            tonic::Status,
        >;
        /// Xray.
        async fn get_inbound_users(
            &self,
            request: tonic::Request<super::GetInboundUserRequest>,
        ) -> std::result::Result<
            tonic::Response<super::GetInboundUserResponse>,
            tonic::Status,
        >;
        /// Xray.
        async fn get_inbound_users_count(
            &self,
            request: tonic::Request<super::GetInboundUserRequest>,
        ) -> std::result::Result<
            tonic::Response<super::GetInboundUsersCountResponse>,
            tonic::Status,
        >;
        async fn add_outbound(
            &self,
            request: tonic::Request<super::AddOutboundRequest>,
        ) -> std::result::Result<
            tonic::Response<super::AddOutboundResponse>,
            tonic::Status,
        >;
        async fn remove_outbound(
            &self,
            request: tonic::Request<super::RemoveOutboundRequest>,
        ) -> std::result::Result<
            tonic::Response<super::RemoveOutboundResponse>,
            tonic::Status,
        >;
        /// Xray.
        async fn list_outbounds(
            &self,
            request: tonic::Request<super::ListOutboundsRequest>,
        ) -> std::result::Result<
            tonic::Response<super::ListOutboundsResponse>,
            tonic::Status,
        >;
    }
    /// AlterOutbound is not among them: no outbound has users, so that there is nothing to alter.
    #[derive(Debug)]
    pub struct HandlerServiceServer<T> {
        inner: Arc<T>,
        accept_compression_encodings: EnabledCompressionEncodings,
        send_compression_encodings: EnabledCompressionEncodings,
        max_decoding_message_size: Option<usize>,
        max_encoding_message_size: Option<usize>,
    }
    impl<T> HandlerServiceServer<T> {
        pub fn new(inner: T) -> Self {
            Self::from_arc(Arc::new(inner))
        }
        pub fn from_arc(inner: Arc<T>) -> Self {
            Self {
                inner,
                accept_compression_encodings: Default::default(),
                send_compression_encodings: Default::default(),
                max_decoding_message_size: None,
                max_encoding_message_size: None,
            }
        }
        pub fn with_interceptor<F>(
            inner: T,
            interceptor: F,
        ) -> InterceptedService<Self, F>
        where
            F: tonic::service::Interceptor,
        {
            InterceptedService::new(Self::new(inner), interceptor)
        }
        /// Enable decompressing requests with the given encoding.
        #[must_use]
        pub fn accept_compressed(mut self, encoding: CompressionEncoding) -> Self {
            self.accept_compression_encodings.enable(encoding);
            self
        }
        /// Compress responses with the given encoding, if the client supports it.
        #[must_use]
        pub fn send_compressed(mut self, encoding: CompressionEncoding) -> Self {
            self.send_compression_encodings.enable(encoding);
            self
        }
        /// Limits the maximum size of a decoded message.
        ///
        /// Default: `4MB`
        #[must_use]
        pub fn max_decoding_message_size(mut self, limit: usize) -> Self {
            self.max_decoding_message_size = Some(limit);
            self
        }
        /// Limits the maximum size of an encoded message.
        ///
        /// Default: `usize::MAX`
        #[must_use]
        pub fn max_encoding_message_size(mut self, limit: usize) -> Self {
            self.max_encoding_message_size = Some(limit);
            self
        }
    }
    impl<T, B> tonic::codegen::Service<http::Request<B>> for HandlerServiceServer<T>
    where
        T: HandlerService,
        B: Body + std::marker::Send + 'static,
        B::Error: Into<StdError> + std::marker::Send + 'static,
    {
        type Response = http::Response<tonic::body::Body>;
        type Error = std::convert::Infallible;
        type Future = BoxFuture<Self::Response, Self::Error>;
        fn poll_ready(
            &mut self,
            _cx: &mut Context<'_>,
        ) -> Poll<std::result::Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }
        fn call(&mut self, req: http::Request<B>) -> Self::Future {
            match req.uri().path() {
                "/v2ray.core.app.proxyman.command.HandlerService/AddInbound" => {
                    struct AddInboundSvc<T: HandlerService>(pub Arc<T>);
                    impl<
                        T: HandlerService,
                    > tonic::server::UnaryService<super::AddInboundRequest>
                    for AddInboundSvc<T> {
                        type Response = super::AddInboundResponse;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<super::AddInboundRequest>,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as HandlerService>::add_inbound(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = AddInboundSvc(inner);
                        let codec = tonic_prost::ProstCodec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/v2ray.core.app.proxyman.command.HandlerService/RemoveInbound" => {
                    struct RemoveInboundSvc<T: HandlerService>(pub Arc<T>);
                    impl<
                        T: HandlerService,
                    > tonic::server::UnaryService<super::RemoveInboundRequest>
                    for RemoveInboundSvc<T> {
                        type Response = super::RemoveInboundResponse;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<super::RemoveInboundRequest>,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as HandlerService>::remove_inbound(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = RemoveInboundSvc(inner);
                        let codec = tonic_prost::ProstCodec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/v2ray.core.app.proxyman.command.HandlerService/AlterInbound" => {
                    struct AlterInboundSvc<T: HandlerService>(pub Arc<T>);
                    impl<
                        T: HandlerService,
                    > tonic::server::UnaryService<super::AlterInboundRequest>
                    for AlterInboundSvc<T> {
                        type Response = super::AlterInboundResponse;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<super::AlterInboundRequest>,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as HandlerService>::alter_inbound(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = AlterInboundSvc(inner);
                        let codec = tonic_prost::ProstCodec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/v2ray.core.app.proxyman.command.HandlerService/ListInbounds" => {
                    struct ListInboundsSvc<T: HandlerService>(pub Arc<T>);
                    impl<
                        T: HandlerService,
                    > tonic::server::UnaryService<super::ListInboundsRequest>
                    for ListInboundsSvc<T> {
                        type Response = super::ListInboundsResponse;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<super::ListInboundsRequest>,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as HandlerService>::list_inbounds(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = ListInboundsSvc(inner);
                        let codec = tonic_prost::ProstCodec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/v2ray.core.app.proxyman.command.HandlerService/GetInboundUsers" => {
                    struct GetInboundUsersSvc<T: HandlerService>(pub Arc<T>);
                    impl<
                        T: HandlerService,
                    > tonic::server::UnaryService<super::GetInboundUserRequest>
                    for GetInboundUsersSvc<T> {
                        type Response = super::GetInboundUserResponse;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<super::GetInboundUserRequest>,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as HandlerService>::get_inbound_users(&inner, request)
                                    .await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = GetInboundUsersSvc(inner);
                        let codec = tonic_prost::ProstCodec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/v2ray.core.app.proxyman.command.HandlerService/GetInboundUsersCount" => {
                    struct GetInboundUsersCountSvc<T: HandlerService>(pub Arc<T>);
                    impl<
                        T: HandlerService,
                    > tonic::server::UnaryService<super::GetInboundUserRequest>
                    for GetInboundUsersCountSvc<T> {
                        type Response = super::GetInboundUsersCountResponse;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<super::GetInboundUserRequest>,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as HandlerService>::get_inbound_users_count(
                                        &inner,
                                        request,
                                    )
                                    .await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = GetInboundUsersCountSvc(inner);
                        let codec = tonic_prost::ProstCodec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/v2ray.core.app.proxyman.command.HandlerService/AddOutbound" => {
                    struct AddOutboundSvc<T: HandlerService>(pub Arc<T>);
                    impl<
                        T: HandlerService,
                    > tonic::server::UnaryService<super::AddOutboundRequest>
                    for AddOutboundSvc<T> {
                        type Response = super::AddOutboundResponse;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<super::AddOutboundRequest>,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as HandlerService>::add_outbound(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = AddOutboundSvc(inner);
                        let codec = tonic_prost::ProstCodec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/v2ray.core.app.proxyman.command.HandlerService/RemoveOutbound" => {
                    struct RemoveOutboundSvc<T: HandlerService>(pub Arc<T>);
                    impl<
                        T: HandlerService,
                    > tonic::server::UnaryService<super::RemoveOutboundRequest>
                    for RemoveOutboundSvc<T> {
                        type Response = super::RemoveOutboundResponse;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<super::RemoveOutboundRequest>,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as HandlerService>::remove_outbound(&inner, request)
                                    .await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = RemoveOutboundSvc(inner);
                        let codec = tonic_prost::ProstCodec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/v2ray.core.app.proxyman.command.HandlerService/ListOutbounds" => {
                    struct ListOutboundsSvc<T: HandlerService>(pub Arc<T>);
                    impl<
                        T: HandlerService,
                    > tonic::server::UnaryService<super::ListOutboundsRequest>
                    for ListOutboundsSvc<T> {
                        type Response = super::ListOutboundsResponse;
                        type Future = BoxFuture<
                            tonic::Response<Self::Response>,
                            tonic::Status,
                        >;
                        fn call(
                            &mut self,
                            request: tonic::Request<super::ListOutboundsRequest>,
                        ) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move {
                                <T as HandlerService>::list_outbounds(&inner, request).await
                            };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = ListOutboundsSvc(inner);
                        let codec = tonic_prost::ProstCodec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(
                                accept_compression_encodings,
                                send_compression_encodings,
                            )
                            .apply_max_message_size_config(
                                max_decoding_message_size,
                                max_encoding_message_size,
                            );
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                _ => {
                    Box::pin(async move {
                        let mut response = http::Response::new(
                            tonic::body::Body::default(),
                        );
                        let headers = response.headers_mut();
                        headers
                            .insert(
                                tonic::Status::GRPC_STATUS,
                                (tonic::Code::Unimplemented as i32).into(),
                            );
                        headers
                            .insert(
                                http::header::CONTENT_TYPE,
                                tonic::metadata::GRPC_CONTENT_TYPE,
                            );
                        Ok(response)
                    })
                }
            }
        }
    }
    impl<T> Clone for HandlerServiceServer<T> {
        fn clone(&self) -> Self {
            let inner = self.inner.clone();
            Self {
                inner,
                accept_compression_encodings: self.accept_compression_encodings,
                send_compression_encodings: self.send_compression_encodings,
                max_decoding_message_size: self.max_decoding_message_size,
                max_encoding_message_size: self.max_encoding_message_size,
            }
        }
    }
    /// Generated gRPC service name
    pub const SERVICE_NAME: &str = "v2ray.core.app.proxyman.command.HandlerService";
    impl<T> tonic::server::NamedService for HandlerServiceServer<T> {
        const NAME: &'static str = SERVICE_NAME;
    }
}
