// Stats as messages, and the table of metrics.
#include <gtest/gtest.h>

#include <set>

#include "shim/cri/encode.h"
#include "shim/cri/metric_table.h"

namespace podshim::cri {
namespace {

std::shared_ptr<const ContainerView> view(std::optional<Resources> resources = {}) {
  ContainerView out;
  out.id = *ContainerId::parse(std::string(64, 'c'));
  out.spec.resources = std::move(resources);
  out.started_at_ns = 5'000'000'000;
  return std::make_shared<const ContainerView>(std::move(out));
}

TEST(EncodeStats, WhatIsNotKnownIsLeftOut) {
  v1::ContainerStats out;
  encode_usage(ContainerStats{.container = view(), .timestamp_ns = 9}, "/images", &out);
  EXPECT_EQ(out.ByteSizeLong(), 0U);

  ContainerStats stats{.container = view(), .timestamp_ns = 9, .usage = CgroupStats{.memory_working_set_bytes = 5}};
  encode_usage(stats, "/images", &out);
  EXPECT_EQ(out.cpu().timestamp(), 9);
  EXPECT_TRUE(out.cpu().has_usage_core_nano_seconds());
  EXPECT_FALSE(out.cpu().has_usage_nano_cores());
  EXPECT_FALSE(out.cpu().has_psi());
  EXPECT_EQ(out.memory().working_set_bytes().value(), 5U);
  EXPECT_FALSE(out.memory().has_available_bytes());
  EXPECT_FALSE(out.swap().has_swap_available_bytes());
  EXPECT_FALSE(out.has_io());
  EXPECT_FALSE(out.has_writable_layer());
}

TEST(EncodeStats, AllOfAContainer) {
  const Pressure pressure{.some = {.avg10 = 1.5, .total_us = 7}, .full = {.avg300 = 2}};
  ContainerStats stats{.container = view(Resources{.memory_limit_bytes = 100, .memory_swap_limit_bytes = 150}),
                       .timestamp_ns = 9,
                       .usage = CgroupStats{.memory_working_set_bytes = 60,
                                            .memory_limit_bytes = 100,
                                            .swap_bytes = 20,
                                            .cpu_pressure = pressure,
                                            .memory_pressure = pressure,
                                            .io_pressure = pressure},
                       .usage_nano_cores = 3,
                       .layer = LayerUse{.bytes = 4096, .inodes = 2, .at_ns = 8}};
  v1::ContainerStats out;
  encode_usage(stats, "/images", &out);
  EXPECT_EQ(out.cpu().usage_nano_cores().value(), 3U);
  EXPECT_EQ(out.memory().available_bytes().value(), 40U);
  EXPECT_EQ(out.swap().swap_available_bytes().value(), 30U);
  EXPECT_EQ(out.writable_layer().timestamp(), 8);
  EXPECT_EQ(out.writable_layer().fs_id().mountpoint(), "/images");
  for (const auto* psi : {&out.cpu().psi(), &out.memory().psi(), &out.io().psi()}) {
    EXPECT_EQ(psi->some().total(), 7U);
    EXPECT_EQ(psi->some().avg10(), 1.5);
    EXPECT_EQ(psi->full().avg300(), 2);
  }
  stats.usage->memory_working_set_bytes = 130;  // page cache beyond it is being reclaimed
  encode_usage(stats, "/images", &out);
  EXPECT_EQ(out.memory().available_bytes().value(), 0U);
  EXPECT_TRUE(out.memory().has_available_bytes());
}

TEST(EncodeStats, OfAPod) {
  v1::LinuxPodSandboxStats out;
  encode_usage(SandboxStats{.usage = CgroupStats{.cpu_usage_ns = 4},
                            .tasks = 6,
                            .links = {{.name = "eth0", .rx_bytes = 1, .tx_errors = 2}, {.name = "net1"}}},
               &out);
  EXPECT_EQ(out.cpu().usage_core_nano_seconds().value(), 4U);
  EXPECT_EQ(out.process().process_count().value(), 6U);
  EXPECT_EQ(out.network().default_interface().name(), "eth0");
  EXPECT_EQ(out.network().default_interface().tx_errors().value(), 2U);
  ASSERT_EQ(out.network().interfaces_size(), 1) << "those beside the default one (api.proto, NetworkUsage)";
  EXPECT_EQ(out.network().interfaces(0).name(), "net1");
}

// What the conformance suite wants of every container or Pod.
const char* const kWanted[] = {"blkio_device_usage_total",
                               "cpu_cfs_periods_total",
                               "cpu_cfs_throttled_periods_total",
                               "cpu_cfs_throttled_seconds_total",
                               "cpu_system_seconds_total",
                               "cpu_usage_seconds_total",
                               "cpu_user_seconds_total",
                               "file_descriptors",
                               "fs_inodes_free",
                               "fs_inodes_total",
                               "fs_limit_bytes",
                               "fs_reads_bytes_total",
                               "fs_reads_total",
                               "fs_usage_bytes",
                               "fs_writes_bytes_total",
                               "fs_writes_total",
                               "last_seen",
                               "memory_cache",
                               "memory_failcnt",
                               "memory_failures_total",
                               "memory_kernel_usage",
                               "memory_mapped_file",
                               "memory_max_usage_bytes",
                               "memory_rss",
                               "memory_swap",
                               "memory_usage_bytes",
                               "memory_working_set_bytes",
                               "network_receive_bytes_total",
                               "network_receive_errors_total",
                               "network_receive_packets_dropped_total",
                               "network_receive_packets_total",
                               "network_transmit_bytes_total",
                               "network_transmit_errors_total",
                               "network_transmit_packets_dropped_total",
                               "network_transmit_packets_total",
                               "oom_events_total",
                               "processes",
                               "sockets",
                               "spec_cpu_period",
                               "spec_cpu_shares",
                               "spec_memory_limit_bytes",
                               "spec_memory_swap_limit_bytes",
                               "start_time_seconds",
                               "threads",
                               "threads_max"};

TEST(MetricTable, HasEveryWantedNameOnce) {
  std::set<std::string> names;
  for (const auto& row : metric_table()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name << " twice";
    EXPECT_NE((row.of_container == nullptr), (row.of_link == nullptr)) << row.name;
    EXPECT_NE(std::string(row.help), "");
  }
  EXPECT_EQ(std::size(kWanted), 45U);
  for (const char* name : kWanted) EXPECT_TRUE(names.contains(std::string("container_") + name)) << name;
}

TEST(MetricTable, EverySeriesHasTheRowsLabels) {
  const Pressure pressure{.some = {.total_us = 2'500'000}};
  const ContainerMetrics container{
      .stats = {.container = view(),
                .timestamp_ns = 7'000'000'000,
                .usage = CgroupStats{.cpu_usage_ns = 3'900'000'000,
                                     .cpu_pressure = pressure,
                                     .memory_pressure = pressure,
                                     .io_pressure = pressure},
                .layer = LayerUse{.bytes = 11}},
      .detail = {.memory_kernel_bytes = 1,
                 .memory_peak_bytes = 2,
                 .threads = 3,
                 .blocks = {{.major = 8, .minor = 1, .device = "/dev/sda1", .read_bytes = 5}}},
      .processes = {.processes = 2, .open_files_limit = 1024}};
  const std::optional<FilesystemSpace> layers = FilesystemSpace{.device = "/dev/vda"};
  std::map<std::string, std::uint64_t> values;
  for (const auto& row : metric_table()) {
    int series = 0;
    const Emit emit = [&](const auto& labels, std::uint64_t value) {
      EXPECT_EQ(labels.size(), row.own_keys.size()) << row.name;
      values[row.name] += value;
      series++;
    };
    if (row.of_container != nullptr) row.of_container({container, layers}, emit);
    // Without a quota there is none to tell.
    const bool absent = row.of_link != nullptr || std::string(row.name) == "container_spec_cpu_quota";
    EXPECT_EQ(series == 0, absent) << row.name;
  }
  EXPECT_EQ(values["container_cpu_usage_seconds_total"], 3U);  // CRI's values are whole numbers
  EXPECT_EQ(values["container_pressure_io_waiting_seconds_total"], 2U);
  EXPECT_EQ(values["container_last_seen"], 7U);
  EXPECT_EQ(values["container_spec_cpu_shares"], 1024U);
  EXPECT_EQ(values["container_spec_cpu_period"], 100'000U);
  EXPECT_EQ(values["container_fs_usage_bytes"], 11U);
  EXPECT_EQ(values["container_ulimits_soft"], 1024U);
}

}  // namespace
}  // namespace podshim::cri
