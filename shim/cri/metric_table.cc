#include "shim/cri/metric_table.h"

namespace podshim::cri {
namespace {

using C = const ContainerSource&;
using E = const Emit&;

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kDefaultShares = 1024, kDefaultPeriod = 100'000;  // the kernel's

const CgroupStats& usage(C c) { return *c.container.stats.usage; }
const CgroupDetail& detail(C c) { return c.container.detail; }

std::uint64_t resource(C c, std::int64_t Resources::* field, std::uint64_t unset = 0) {
  const auto& resources = c.container.stats.container->spec.resources;
  const std::int64_t value = resources ? (*resources).*field : 0;
  return value > 0 ? static_cast<std::uint64_t>(value) : unset;
}

template <auto member>
void of_detail(C c, E emit) {
  if constexpr (requires { (detail(c).*member).has_value(); }) {
    if (detail(c).*member) emit({}, *(detail(c).*member));
  } else {
    emit({}, detail(c).*member);
  }
}

template <auto member>
void seconds_of_detail(C c, E emit) {
  emit({}, detail(c).*member / kSecond);
}

template <auto member>
void of_usage(C c, E emit) {
  emit({}, usage(c).*member);
}

template <auto member>
void of_blocks(C c, E emit) {
  for (const auto& block : detail(c).blocks) emit({block.device}, block.*member);
}

void device_usage(C c, E emit) {
  for (const auto& b : detail(c).blocks) {
    emit({b.device, std::to_string(b.major), std::to_string(b.minor), "Read"}, b.read_bytes);
    emit({b.device, std::to_string(b.major), std::to_string(b.minor), "Write"}, b.written_bytes);
  }
}

template <auto member>
void of_layers(C c, E emit) {
  if (c.layers) emit({c.layers->device}, (*c.layers).*member);
}

void layer_usage(C c, E emit) {
  if (c.layers && c.container.stats.layer) emit({c.layers->device}, c.container.stats.layer->bytes);
}

std::int64_t layer_read_at_ns(C c) { return c.container.stats.layer ? c.container.stats.layer->at_ns : 0; }

void memory_failures(C c, E emit) {
  emit({"pgfault", "container"}, detail(c).page_faults);
  emit({"pgfault", "hierarchy"}, usage(c).page_faults);
  emit({"pgmajfault", "container"}, detail(c).major_page_faults);
  emit({"pgmajfault", "hierarchy"}, usage(c).major_page_faults);
}

template <auto which, auto line>
void pressure(C c, E emit) {
  if (const auto& p = usage(c).*which) emit({}, ((*p).*line).total_us / 1'000'000);
}

std::vector<MetricRow> cpu_rows() {
  return {
      {"container_cpu_usage_seconds_total",
       "Cumulative CPU time consumed in seconds.",
       true,
       {},
       [](C c, E emit) { emit({}, usage(c).cpu_usage_ns / kSecond); }},
      {"container_cpu_user_seconds_total",
       "Cumulative user CPU time consumed in seconds.",
       true,
       {},
       seconds_of_detail<&CgroupDetail::cpu_user_ns>},
      {"container_cpu_system_seconds_total",
       "Cumulative system CPU time consumed in seconds.",
       true,
       {},
       seconds_of_detail<&CgroupDetail::cpu_system_ns>},
      {"container_cpu_cfs_periods_total",
       "Number of elapsed enforcement period intervals.",
       true,
       {},
       of_detail<&CgroupDetail::cfs_periods>},
      {"container_cpu_cfs_throttled_periods_total",
       "Number of throttled period intervals.",
       true,
       {},
       of_detail<&CgroupDetail::cfs_throttled_periods>},
      {"container_cpu_cfs_throttled_seconds_total",
       "Total time that the container has been throttled.",
       true,
       {},
       seconds_of_detail<&CgroupDetail::cfs_throttled_ns>},
      {"container_pressure_cpu_waiting_seconds_total",
       "Time in which tasks have waited for CPU.",
       true,
       {},
       pressure<&CgroupStats::cpu_pressure, &Pressure::some>},
      {"container_pressure_cpu_stalled_seconds_total",
       "Time in which no task made progress for want of CPU.",
       true,
       {},
       pressure<&CgroupStats::cpu_pressure, &Pressure::full>},
  };
}

std::vector<MetricRow> memory_rows() {
  return {
      {"container_memory_cache", "Page cache in bytes.", false, {}, of_detail<&CgroupDetail::memory_cache_bytes>},
      {"container_memory_rss", "Anonymous memory in bytes.", false, {}, of_usage<&CgroupStats::memory_rss_bytes>},
      {"container_memory_swap", "Swap in use in bytes.", false, {}, of_usage<&CgroupStats::swap_bytes>},
      {"container_memory_kernel_usage",
       "Kernel memory in bytes.",
       false,
       {},
       of_detail<&CgroupDetail::memory_kernel_bytes>},
      {"container_memory_mapped_file",
       "Memory mapped files in bytes.",
       false,
       {},
       of_detail<&CgroupDetail::memory_mapped_bytes>},
      {"container_memory_usage_bytes",
       "Memory in use in bytes, whenever it was accessed.",
       false,
       {},
       of_usage<&CgroupStats::memory_usage_bytes>},
      {"container_memory_max_usage_bytes",
       "The most memory that was in use, in bytes.",
       false,
       {},
       of_detail<&CgroupDetail::memory_peak_bytes>},
      {"container_memory_working_set_bytes",
       "Memory in use without inactive page cache, in bytes.",
       false,
       {},
       of_usage<&CgroupStats::memory_working_set_bytes>},
      {"container_memory_failcnt",
       "How often memory usage met its limit.",
       true,
       {},
       of_detail<&CgroupDetail::memory_limit_hits>},
      {"container_memory_failures_total", "Page faults.", true, {"failure_type", "scope"}, memory_failures},
      {"container_oom_events_total",
       "Processes that the kernel killed for want of memory.",
       true,
       {},
       of_detail<&CgroupDetail::oom_kills>},
      {"container_pressure_memory_waiting_seconds_total",
       "Time in which tasks have waited for memory.",
       true,
       {},
       pressure<&CgroupStats::memory_pressure, &Pressure::some>},
      {"container_pressure_memory_stalled_seconds_total",
       "Time in which no task made progress for want of memory.",
       true,
       {},
       pressure<&CgroupStats::memory_pressure, &Pressure::full>},
  };
}

std::vector<MetricRow> disk_rows() {
  return {
      {"container_blkio_device_usage_total",
       "Bytes moved from and to block devices.",
       true,
       {"device", "major", "minor", "operation"},
       device_usage},
      {"container_fs_reads_bytes_total", "Bytes read.", true, {"device"}, of_blocks<&BlockUse::read_bytes>},
      {"container_fs_reads_total", "Reads completed.", true, {"device"}, of_blocks<&BlockUse::reads>},
      {"container_fs_writes_bytes_total", "Bytes written.", true, {"device"}, of_blocks<&BlockUse::written_bytes>},
      {"container_fs_writes_total", "Writes completed.", true, {"device"}, of_blocks<&BlockUse::writes>},
      {"container_fs_inodes_free",
       "Free inodes of the writable layers' file system.",
       false,
       {"device"},
       of_layers<&FilesystemSpace::inodes_free>},
      {"container_fs_inodes_total",
       "Inodes of the writable layers' file system.",
       false,
       {"device"},
       of_layers<&FilesystemSpace::inodes>},
      {"container_fs_limit_bytes",
       "Bytes that the container can use on this file system.",
       false,
       {"device"},
       of_layers<&FilesystemSpace::bytes>},
      {"container_fs_usage_bytes",
       "Bytes that the container's writable layer uses.",
       false,
       {"device"},
       layer_usage,
       nullptr,
       layer_read_at_ns},
      {"container_pressure_io_waiting_seconds_total",
       "Time in which tasks have waited for I/O.",
       true,
       {},
       pressure<&CgroupStats::io_pressure, &Pressure::some>},
      {"container_pressure_io_stalled_seconds_total",
       "Time in which no task made progress for want of I/O.",
       true,
       {},
       pressure<&CgroupStats::io_pressure, &Pressure::full>},
  };
}

std::vector<MetricRow> process_rows() {
  return {
      {"container_processes",
       "Processes in the container.",
       false,
       {},
       [](C c, E emit) { emit({}, c.container.processes.processes); }},
      {"container_threads", "Threads in the container.", false, {}, of_detail<&CgroupDetail::threads>},
      {"container_threads_max",
       "Threads that the container may have; 0 = any number.",
       false,
       {},
       of_detail<&CgroupDetail::threads_max>},
      {"container_file_descriptors",
       "Open file descriptors of the container's processes.",
       false,
       {},
       [](C c, E emit) { emit({}, c.container.processes.file_descriptors); }},
      {"container_sockets",
       "Open sockets of the container's processes.",
       false,
       {},
       [](C c, E emit) { emit({}, c.container.processes.sockets); }},
      {"container_ulimits_soft",
       "Soft limits of the container's first process.",
       false,
       {"ulimit"},
       [](C c, E emit) {
         if (const auto limit = c.container.processes.open_files_limit; limit && *limit >= 0)
           emit({"max_open_files"}, static_cast<std::uint64_t>(*limit));
       }},
  };
}

std::vector<MetricRow> spec_rows() {
  return {
      {"container_last_seen",
       "When the container was last seen, in seconds since 1970.",
       false,
       {},
       [](C c, E emit) { emit({}, static_cast<std::uint64_t>(c.container.stats.timestamp_ns) / kSecond); }},
      {"container_start_time_seconds",
       "When the container was started, in seconds since 1970.",
       false,
       {},
       [](C c, E emit) { emit({}, static_cast<std::uint64_t>(c.container.stats.container->started_at_ns) / kSecond); }},
      {"container_spec_cpu_period",
       "CPU period of the container in microseconds.",
       false,
       {},
       [](C c, E emit) { emit({}, resource(c, &Resources::cpu_period_us, kDefaultPeriod)); }},
      {"container_spec_cpu_quota",
       "CPU quota of the container in microseconds; absent = none.",
       false,
       {},
       [](C c, E emit) {
         if (const auto quota = resource(c, &Resources::cpu_quota_us); quota != 0) emit({}, quota);
       }},
      {"container_spec_cpu_shares",
       "CPU shares of the container.",
       false,
       {},
       [](C c, E emit) { emit({}, resource(c, &Resources::cpu_shares, kDefaultShares)); }},
      {"container_spec_memory_limit_bytes",
       "Memory limit of the container; 0 = none.",
       false,
       {},
       of_usage<&CgroupStats::memory_limit_bytes>},
      {"container_spec_memory_swap_limit_bytes",
       "Limit of memory and swap together; 0 = none.",
       false,
       {},
       [](C c, E emit) { emit({}, resource(c, &Resources::memory_swap_limit_bytes)); }},
  };
}

std::vector<MetricRow> link_rows() {
  const std::vector<std::string> key = {"interface"};
  return {
      {"container_network_receive_bytes_total", "Bytes received.", true, key, nullptr, &LinkUse::rx_bytes},
      {"container_network_receive_packets_total", "Packets received.", true, key, nullptr, &LinkUse::rx_packets},
      {"container_network_receive_packets_dropped_total", "Packets dropped while receiving.", true, key, nullptr,
       &LinkUse::rx_dropped},
      {"container_network_receive_errors_total", "Errors while receiving.", true, key, nullptr, &LinkUse::rx_errors},
      {"container_network_transmit_bytes_total", "Bytes sent.", true, key, nullptr, &LinkUse::tx_bytes},
      {"container_network_transmit_packets_total", "Packets sent.", true, key, nullptr, &LinkUse::tx_packets},
      {"container_network_transmit_packets_dropped_total", "Packets dropped while sending.", true, key, nullptr,
       &LinkUse::tx_dropped},
      {"container_network_transmit_errors_total", "Errors while sending.", true, key, nullptr, &LinkUse::tx_errors},
  };
}

}  // namespace

const std::vector<std::string>& base_label_keys() {
  static const std::vector<std::string> kKeys = {"container", "id", "image", "name", "namespace", "pod"};
  return kKeys;
}

const std::vector<MetricRow>& metric_table() {
  static const std::vector<MetricRow> kRows = [] {
    std::vector<MetricRow> all;
    for (auto&& rows : {cpu_rows(), memory_rows(), disk_rows(), process_rows(), spec_rows(), link_rows()})
      all.insert(all.end(), rows.begin(), rows.end());
    return all;
  }();
  return kRows;
}

}  // namespace podshim::cri
