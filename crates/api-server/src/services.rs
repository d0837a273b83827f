//! The generated services, each call handed to its verb.

use burstlet_proto::v1;
use burstlet_proto::v1::container_groups_server::ContainerGroups;
use burstlet_proto::v1::images_server::Images;
use burstlet_proto::v1::metering_server::Metering;
use burstlet_proto::v1::node_server::Node;
use burstlet_supervisor::host::Host;
use tonic::{Request, Response, Status, Streaming};

use crate::api::Api;
use crate::machine::Machine;
use crate::streams::Answers;
use crate::{deadline, groups, images, metering, node};

type Reply<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl<H: Host, M: Machine> ContainerGroups for Api<H, M> {
    type WatchStream = Answers<v1::WatchResponse>;
    type LogsStream = Answers<v1::LogsResponse>;
    type ExecStream = Answers<v1::ExecResponse>;
    type AttachStream = Answers<v1::AttachResponse>;
    type PortForwardStream = Answers<v1::PortForwardResponse>;
    type EventsStream = Answers<v1::EventsResponse>;
    type StatsStream = Answers<v1::StatsResponse>;

    async fn create(&self, request: Request<v1::CreateRequest>) -> Reply<v1::CreateResponse> {
        let created = groups::create::create(self, request.into_inner()).await;
        created.map(Response::new)
    }

    async fn validate(&self, request: Request<v1::ValidateRequest>) -> Reply<v1::ValidateResponse> {
        groups::create::validate(self, request.into_inner()).map(Response::new)
    }

    async fn get(&self, request: Request<v1::GetRequest>) -> Reply<v1::ContainerGroup> {
        groups::query::get(self, request.get_ref()).map(Response::new)
    }

    async fn list(&self, request: Request<v1::ListRequest>) -> Reply<v1::ListResponse> {
        groups::query::list(self, request.get_ref()).map(Response::new)
    }

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Reply<Self::WatchStream> {
        groups::watch::watch(self, request.get_ref()).map(Response::new)
    }

    async fn update(&self, request: Request<v1::UpdateRequest>) -> Reply<v1::ContainerGroup> {
        let updated = groups::update::update(self, request.into_inner()).await;
        updated.map(Response::new)
    }

    async fn start(&self, request: Request<v1::StartRequest>) -> Reply<v1::ContainerGroup> {
        let started = groups::change::start(self, request.into_inner()).await;
        started.map(Response::new)
    }

    async fn stop(&self, request: Request<v1::StopRequest>) -> Reply<v1::ContainerGroup> {
        let stopped = groups::change::stop(self, request.into_inner()).await;
        stopped.map(Response::new)
    }

    async fn restart(&self, request: Request<v1::RestartRequest>) -> Reply<v1::ContainerGroup> {
        let restarted = groups::change::restart(self, request.into_inner()).await;
        restarted.map(Response::new)
    }

    async fn delete(&self, request: Request<v1::DeleteRequest>) -> Reply<v1::ContainerGroup> {
        let deleted = groups::change::delete(self, request.into_inner()).await;
        deleted.map(Response::new)
    }

    async fn wait(&self, request: Request<v1::WaitRequest>) -> Reply<v1::ContainerGroup> {
        let deadline = deadline::of(request.metadata());
        let waited = groups::wait::wait(self, request.into_inner(), deadline).await;
        waited.map(Response::new)
    }

    async fn logs(&self, request: Request<v1::LogsRequest>) -> Reply<Self::LogsStream> {
        let logs = groups::logs::logs(self, request.into_inner()).await;
        logs.map(Response::new)
    }

    async fn exec(&self, request: Request<Streaming<v1::ExecRequest>>) -> Reply<Self::ExecStream> {
        let session = groups::exec::exec(self, request.into_inner()).await;
        session.map(Response::new)
    }

    async fn attach(
        &self,
        request: Request<Streaming<v1::AttachRequest>>,
    ) -> Reply<Self::AttachStream> {
        let session = groups::attach::attach(self, request.into_inner()).await;
        session.map(Response::new)
    }

    async fn port_forward(
        &self,
        request: Request<Streaming<v1::PortForwardRequest>>,
    ) -> Reply<Self::PortForwardStream> {
        let connection = groups::port_forward::port_forward(self, request.into_inner()).await;
        connection.map(Response::new)
    }

    async fn events(&self, request: Request<v1::EventsRequest>) -> Reply<Self::EventsStream> {
        groups::events::events(self, request.get_ref()).map(Response::new)
    }

    async fn stats(&self, request: Request<v1::StatsRequest>) -> Reply<Self::StatsStream> {
        let stats = groups::stats::stats(self, request.get_ref()).await;
        stats.map(Response::new)
    }

    async fn export(&self, request: Request<v1::ExportRequest>) -> Reply<v1::ExportResponse> {
        groups::export::export(self, request.get_ref()).map(Response::new)
    }
}

#[tonic::async_trait]
impl<H: Host, M: Machine> Images for Api<H, M> {
    type PullStream = Answers<v1::PullImageResponse>;

    async fn pull(&self, request: Request<v1::PullImageRequest>) -> Reply<Self::PullStream> {
        images::pull(self, request.into_inner()).map(Response::new)
    }

    async fn import(
        &self,
        request: Request<Streaming<v1::ImportImagesRequest>>,
    ) -> Reply<v1::ImportImagesResponse> {
        let imported = images::import(self, request.into_inner()).await;
        imported.map(Response::new)
    }

    async fn list(&self, request: Request<v1::ListImagesRequest>) -> Reply<v1::ListImagesResponse> {
        let listed = images::list(self, request.into_inner()).await;
        listed.map(Response::new)
    }

    async fn get(&self, request: Request<v1::GetImageRequest>) -> Reply<v1::Image> {
        let image = images::get(self, request.into_inner()).await;
        image.map(Response::new)
    }

    async fn remove(
        &self,
        request: Request<v1::RemoveImageRequest>,
    ) -> Reply<v1::RemoveImageResponse> {
        let removed = images::remove(self, request.into_inner()).await;
        removed.map(Response::new)
    }

    async fn prune(
        &self,
        request: Request<v1::PruneImagesRequest>,
    ) -> Reply<v1::PruneImagesResponse> {
        let pruned = images::prune(self, request.into_inner()).await;
        pruned.map(Response::new)
    }
}

#[tonic::async_trait]
impl<H: Host, M: Machine> Node for Api<H, M> {
    async fn info(&self, _: Request<v1::NodeInfoRequest>) -> Reply<v1::NodeInfo> {
        Ok(Response::new(self.machine().info().await))
    }

    async fn capabilities(
        &self,
        _: Request<v1::CapabilitiesRequest>,
    ) -> Reply<v1::CapabilitiesResponse> {
        Ok(Response::new(node::capabilities(self)))
    }

    async fn capacity(&self, _: Request<v1::CapacityRequest>) -> Reply<v1::CapacityResponse> {
        Ok(Response::new(node::capacity(self)))
    }

    async fn doctor(&self, _: Request<v1::DoctorRequest>) -> Reply<v1::DoctorResponse> {
        let findings = self.machine().doctor().await;
        Ok(Response::new(v1::DoctorResponse { findings }))
    }
}

#[tonic::async_trait]
impl<H: Host, M: Machine> Metering for Api<H, M> {
    type ExportFocusStream = Answers<v1::ExportFocusResponse>;

    async fn usage(&self, request: Request<v1::UsageRequest>) -> Reply<v1::UsageResponse> {
        let usage = metering::usage(self, request.into_inner()).await;
        usage.map(Response::new)
    }

    async fn quote(&self, request: Request<v1::QuoteRequest>) -> Reply<v1::QuoteResponse> {
        let quote = metering::quote(self, request.into_inner()).await;
        quote.map(Response::new)
    }

    async fn price_books(
        &self,
        _: Request<v1::PriceBooksRequest>,
    ) -> Reply<v1::PriceBooksResponse> {
        Ok(Response::new(metering::price_books(self)))
    }

    async fn budgets(&self, request: Request<v1::BudgetsRequest>) -> Reply<v1::BudgetsResponse> {
        let budgets = metering::budgets(self, request.into_inner()).await;
        budgets.map(Response::new)
    }

    async fn export_focus(
        &self,
        request: Request<v1::ExportFocusRequest>,
    ) -> Reply<Self::ExportFocusStream> {
        metering::export_focus(self, request.get_ref()).map(Response::new)
    }

    async fn head(&self, _: Request<v1::HeadRequest>) -> Reply<v1::LedgerHead> {
        Ok(Response::new(metering::head(self)))
    }

    async fn verify(&self, request: Request<v1::VerifyRequest>) -> Reply<v1::VerifyResponse> {
        let verified = metering::verify(self, request.into_inner()).await;
        verified.map(Response::new)
    }
}
