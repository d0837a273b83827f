//! The generated services, each call handed to its verb.

use burstlet_proto::v1;
use burstlet_proto::v1::container_groups_server::ContainerGroups;
use burstlet_proto::v1::images_server::Images;
use burstlet_proto::v1::metering_server::Metering;
use burstlet_proto::v1::node_server::Node;
use burstlet_supervisor::host::Host;
use tonic::{Request, Response, Status, Streaming};

use crate::access::Asked;
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
        let (api, request) = Asked::open(self, request)?;
        let created = groups::create::create(&api, request).await;
        created.map(Response::new)
    }

    async fn validate(&self, request: Request<v1::ValidateRequest>) -> Reply<v1::ValidateResponse> {
        let (api, request) = Asked::open(self, request)?;
        groups::create::validate(&api, request).map(Response::new)
    }

    async fn get(&self, request: Request<v1::GetRequest>) -> Reply<v1::ContainerGroup> {
        let (api, request) = Asked::open(self, request)?;
        groups::query::get(&api, &request).map(Response::new)
    }

    async fn list(&self, request: Request<v1::ListRequest>) -> Reply<v1::ListResponse> {
        let (api, request) = Asked::open(self, request)?;
        groups::query::list(&api, &request).map(Response::new)
    }

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Reply<Self::WatchStream> {
        let (api, request) = Asked::open(self, request)?;
        groups::watch::watch(&api, &request).map(Response::new)
    }

    async fn update(&self, request: Request<v1::UpdateRequest>) -> Reply<v1::ContainerGroup> {
        let (api, request) = Asked::open(self, request)?;
        let updated = groups::update::update(&api, request).await;
        updated.map(Response::new)
    }

    async fn start(&self, request: Request<v1::StartRequest>) -> Reply<v1::ContainerGroup> {
        let (api, request) = Asked::open(self, request)?;
        let started = groups::change::start(&api, request).await;
        started.map(Response::new)
    }

    async fn stop(&self, request: Request<v1::StopRequest>) -> Reply<v1::ContainerGroup> {
        let (api, request) = Asked::open(self, request)?;
        let stopped = groups::change::stop(&api, request).await;
        stopped.map(Response::new)
    }

    async fn restart(&self, request: Request<v1::RestartRequest>) -> Reply<v1::ContainerGroup> {
        let (api, request) = Asked::open(self, request)?;
        let restarted = groups::change::restart(&api, request).await;
        restarted.map(Response::new)
    }

    async fn delete(&self, request: Request<v1::DeleteRequest>) -> Reply<v1::ContainerGroup> {
        let (api, request) = Asked::open(self, request)?;
        let deleted = groups::change::delete(&api, request).await;
        deleted.map(Response::new)
    }

    async fn wait(&self, request: Request<v1::WaitRequest>) -> Reply<v1::ContainerGroup> {
        let deadline = deadline::of(request.metadata());
        let (api, request) = Asked::open(self, request)?;
        let waited = groups::wait::wait(&api, request, deadline).await;
        waited.map(Response::new)
    }

    async fn logs(&self, request: Request<v1::LogsRequest>) -> Reply<Self::LogsStream> {
        let (api, request) = Asked::open(self, request)?;
        let logs = groups::logs::logs(&api, request).await;
        logs.map(Response::new)
    }

    async fn exec(&self, request: Request<Streaming<v1::ExecRequest>>) -> Reply<Self::ExecStream> {
        let (api, request) = Asked::open(self, request)?;
        let session = groups::exec::exec(&api, request).await;
        session.map(Response::new)
    }

    async fn attach(
        &self,
        request: Request<Streaming<v1::AttachRequest>>,
    ) -> Reply<Self::AttachStream> {
        let (api, request) = Asked::open(self, request)?;
        let session = groups::attach::attach(&api, request).await;
        session.map(Response::new)
    }

    async fn port_forward(
        &self,
        request: Request<Streaming<v1::PortForwardRequest>>,
    ) -> Reply<Self::PortForwardStream> {
        let (api, request) = Asked::open(self, request)?;
        let connection = groups::port_forward::port_forward(&api, request).await;
        connection.map(Response::new)
    }

    async fn events(&self, request: Request<v1::EventsRequest>) -> Reply<Self::EventsStream> {
        let (api, request) = Asked::open(self, request)?;
        groups::events::events(&api, &request).map(Response::new)
    }

    async fn stats(&self, request: Request<v1::StatsRequest>) -> Reply<Self::StatsStream> {
        let (api, request) = Asked::open(self, request)?;
        let stats = groups::stats::stats(&api, &request).await;
        stats.map(Response::new)
    }

    async fn export(&self, request: Request<v1::ExportRequest>) -> Reply<v1::ExportResponse> {
        let (api, request) = Asked::open(self, request)?;
        groups::export::export(&api, &request).map(Response::new)
    }

    async fn policy_report(
        &self,
        request: Request<v1::PolicyReportRequest>,
    ) -> Reply<v1::PolicyReportResponse> {
        let (api, request) = Asked::open(self, request)?;
        groups::policy::report(&api, &request).map(Response::new)
    }
}

#[tonic::async_trait]
impl<H: Host, M: Machine> Images for Api<H, M> {
    type PullStream = Answers<v1::PullImageResponse>;

    async fn pull(&self, request: Request<v1::PullImageRequest>) -> Reply<Self::PullStream> {
        let (api, request) = Asked::open(self, request)?;
        images::pull(&api, request).map(Response::new)
    }

    async fn import(
        &self,
        request: Request<Streaming<v1::ImportImagesRequest>>,
    ) -> Reply<v1::ImportImagesResponse> {
        let (api, request) = Asked::open(self, request)?;
        let imported = images::import(&api, request).await;
        imported.map(Response::new)
    }

    async fn list(&self, request: Request<v1::ListImagesRequest>) -> Reply<v1::ListImagesResponse> {
        let (api, request) = Asked::open(self, request)?;
        let listed = images::list(&api, request).await;
        listed.map(Response::new)
    }

    async fn get(&self, request: Request<v1::GetImageRequest>) -> Reply<v1::Image> {
        let (api, request) = Asked::open(self, request)?;
        let image = images::get(&api, request).await;
        image.map(Response::new)
    }

    async fn remove(
        &self,
        request: Request<v1::RemoveImageRequest>,
    ) -> Reply<v1::RemoveImageResponse> {
        let (api, request) = Asked::open(self, request)?;
        let removed = images::remove(&api, request).await;
        removed.map(Response::new)
    }

    async fn prune(
        &self,
        request: Request<v1::PruneImagesRequest>,
    ) -> Reply<v1::PruneImagesResponse> {
        let (api, request) = Asked::open(self, request)?;
        let pruned = images::prune(&api, request).await;
        pruned.map(Response::new)
    }
}

#[tonic::async_trait]
impl<H: Host, M: Machine> Node for Api<H, M> {
    async fn info(&self, request: Request<v1::NodeInfoRequest>) -> Reply<v1::NodeInfo> {
        let (api, _) = Asked::open(self, request)?;
        Ok(Response::new(node::info(&api).await))
    }

    async fn capabilities(
        &self,
        request: Request<v1::CapabilitiesRequest>,
    ) -> Reply<v1::CapabilitiesResponse> {
        let (api, _) = Asked::open(self, request)?;
        Ok(Response::new(node::capabilities(&api)))
    }

    async fn capacity(&self, request: Request<v1::CapacityRequest>) -> Reply<v1::CapacityResponse> {
        let (api, _) = Asked::open(self, request)?;
        Ok(Response::new(node::capacity(&api)))
    }

    async fn doctor(&self, request: Request<v1::DoctorRequest>) -> Reply<v1::DoctorResponse> {
        let (api, _) = Asked::open(self, request)?;
        let findings = api.machine().doctor().await;
        Ok(Response::new(v1::DoctorResponse { findings }))
    }
}

#[tonic::async_trait]
impl<H: Host, M: Machine> Metering for Api<H, M> {
    type ExportFocusStream = Answers<v1::ExportFocusResponse>;

    async fn usage(&self, request: Request<v1::UsageRequest>) -> Reply<v1::UsageResponse> {
        let (api, request) = Asked::open(self, request)?;
        let usage = metering::usage(&api, request).await;
        usage.map(Response::new)
    }

    async fn quote(&self, request: Request<v1::QuoteRequest>) -> Reply<v1::QuoteResponse> {
        let (api, request) = Asked::open(self, request)?;
        let quote = metering::quote(&api, request).await;
        quote.map(Response::new)
    }

    async fn price_books(
        &self,
        request: Request<v1::PriceBooksRequest>,
    ) -> Reply<v1::PriceBooksResponse> {
        let (api, _) = Asked::open(self, request)?;
        Ok(Response::new(metering::price_books(&api)))
    }

    async fn budgets(&self, request: Request<v1::BudgetsRequest>) -> Reply<v1::BudgetsResponse> {
        let (api, request) = Asked::open(self, request)?;
        let budgets = metering::budgets(&api, request).await;
        budgets.map(Response::new)
    }

    async fn export_focus(
        &self,
        request: Request<v1::ExportFocusRequest>,
    ) -> Reply<Self::ExportFocusStream> {
        let (api, request) = Asked::open(self, request)?;
        metering::export_focus(&api, &request).map(Response::new)
    }

    async fn head(&self, request: Request<v1::HeadRequest>) -> Reply<v1::LedgerHead> {
        let (api, _) = Asked::open(self, request)?;
        Ok(Response::new(metering::head(&api)))
    }

    async fn verify(&self, request: Request<v1::VerifyRequest>) -> Reply<v1::VerifyResponse> {
        let (api, request) = Asked::open(self, request)?;
        let verified = metering::verify(&api, request).await;
        verified.map(Response::new)
    }
}
