// Stats: what is not known is left out, never said to be 0.
#include <span>

#include "shim/cri/encode.h"

namespace podshim::cri {
namespace {

void encode_line(const PressureLine& line, v1::PsiData* out) {
  out->set_total(line.total_us);
  out->set_avg10(line.avg10);
  out->set_avg60(line.avg60);
  out->set_avg300(line.avg300);
}

void encode_pressure(const Pressure& pressure, v1::PsiStats* out) {
  encode_line(pressure.full, out->mutable_full());
  encode_line(pressure.some, out->mutable_some());
}

// `Message`: ContainerStats or LinuxPodSandboxStats, whose fields of these kinds are the same.
template <typename Message>
void encode_cgroup(const CgroupStats& s, const std::optional<std::uint64_t>& nano_cores, std::int64_t timestamp_ns,
                   Message* out) {
  auto* cpu = out->mutable_cpu();
  cpu->set_timestamp(timestamp_ns);
  cpu->mutable_usage_core_nano_seconds()->set_value(s.cpu_usage_ns);
  if (nano_cores) cpu->mutable_usage_nano_cores()->set_value(*nano_cores);
  if (s.cpu_pressure) encode_pressure(*s.cpu_pressure, cpu->mutable_psi());
  auto* memory = out->mutable_memory();
  memory->set_timestamp(timestamp_ns);
  memory->mutable_working_set_bytes()->set_value(s.memory_working_set_bytes);
  if (const auto available = s.memory_available_bytes()) memory->mutable_available_bytes()->set_value(*available);
  memory->mutable_usage_bytes()->set_value(s.memory_usage_bytes);
  memory->mutable_rss_bytes()->set_value(s.memory_rss_bytes);
  memory->mutable_page_faults()->set_value(s.page_faults);
  memory->mutable_major_page_faults()->set_value(s.major_page_faults);
  if (s.memory_pressure) encode_pressure(*s.memory_pressure, memory->mutable_psi());
  if (!s.io_pressure) return;
  out->mutable_io()->set_timestamp(timestamp_ns);
  encode_pressure(*s.io_pressure, out->mutable_io()->mutable_psi());
}

// CRI's swap limit is memory + swap.
void encode_swap(const ContainerStats& s, v1::SwapUsage* out) {
  out->set_timestamp(s.timestamp_ns);
  out->mutable_swap_usage_bytes()->set_value(s.usage->swap_bytes);
  const auto& resources = s.container->spec.resources;
  if (!resources || resources->memory_limit_bytes <= 0 || resources->memory_swap_limit_bytes <= 0) return;
  const auto both = static_cast<std::uint64_t>(resources->memory_swap_limit_bytes);
  const auto memory = static_cast<std::uint64_t>(resources->memory_limit_bytes);
  const std::uint64_t swap = both > memory ? both - memory : 0;
  out->mutable_swap_available_bytes()->set_value(swap - std::min(swap, s.usage->swap_bytes));
}

void encode_link(const LinkUse& link, v1::NetworkInterfaceUsage* out) {
  out->set_name(link.name);
  out->mutable_rx_bytes()->set_value(link.rx_bytes);
  out->mutable_rx_errors()->set_value(link.rx_errors);
  out->mutable_tx_bytes()->set_value(link.tx_bytes);
  out->mutable_tx_errors()->set_value(link.tx_errors);
}

}  // namespace

void encode_attributes(const ContainerView& view, v1::ContainerAttributes* out) {
  out->set_id(view.id.str());
  out->mutable_metadata()->set_name(view.spec.metadata.name);
  out->mutable_metadata()->set_attempt(view.spec.metadata.attempt);
  out->mutable_labels()->insert(view.spec.labels.begin(), view.spec.labels.end());
  out->mutable_annotations()->insert(view.spec.annotations.begin(), view.spec.annotations.end());
}

void encode_attributes(const SandboxView& view, v1::PodSandboxAttributes* out) {
  v1::PodSandbox sandbox;
  encode_sandbox(view, &sandbox);
  out->set_id(view.id.str());
  out->mutable_metadata()->Swap(sandbox.mutable_metadata());
  out->mutable_labels()->swap(*sandbox.mutable_labels());
  out->mutable_annotations()->swap(*sandbox.mutable_annotations());
}

void encode_usage(const ContainerStats& s, const std::string& image_filesystem, v1::ContainerStats* out) {
  if (s.usage) {
    encode_cgroup(*s.usage, s.usage_nano_cores, s.timestamp_ns, out);
    encode_swap(s, out->mutable_swap());
  }
  if (!s.layer) return;
  auto* layer = out->mutable_writable_layer();
  layer->set_timestamp(s.layer->at_ns);
  layer->mutable_fs_id()->set_mountpoint(image_filesystem);
  layer->mutable_used_bytes()->set_value(s.layer->bytes);
  layer->mutable_inodes_used()->set_value(s.layer->inodes);
}

void encode_usage(const SandboxStats& s, v1::LinuxPodSandboxStats* out) {
  if (s.usage) encode_cgroup(*s.usage, s.usage_nano_cores, s.timestamp_ns, out);
  if (!s.links.empty()) {
    out->mutable_network()->set_timestamp(s.timestamp_ns);
    encode_link(s.links.front(), out->mutable_network()->mutable_default_interface());
    for (const auto& link : std::span(s.links).subspan(1)) encode_link(link, out->mutable_network()->add_interfaces());
  }
  if (!s.tasks) return;
  out->mutable_process()->set_timestamp(s.timestamp_ns);
  out->mutable_process()->mutable_process_count()->set_value(*s.tasks);
}

}  // namespace podshim::cri
