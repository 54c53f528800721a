/* The servers of the comparison on libuv: libuv MODE WAIT [PATH]. Modes and what they mean: mod.rs beside this file.
 *
 * Answers are tried at once (uv_try_write) and queued only where the kernel takes less; one static buffer serves all
 * reads. That is how libuv is used where speed matters; uv_write alone costs an allocation for each answer. The mode
 * "timers" is no server: it prints what a million timers cost.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

enum mode { MODE_ECHO, MODE_SINK, MODE_PIECES, MODE_FAN_OUT, MODE_IDLE };

struct connection {
  union {
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  } handle;
  uv_timer_t timer;
  int open_handles;
  struct connection *next, *previous;
};

struct answer {
  uv_write_t request;
  char bytes[];
};

enum { BUFFER = 64 * 1024, BURST = 128 * 1024, BACKLOG = 4096, IDLE_MILLISECONDS = 60000, TIMERS = 1000000 };

static uv_loop_t *loop;
static enum mode mode;
static size_t piece_size;
static int gathered;
static int over_unix;
static char buffer[BUFFER];
static char burst[BURST];
static struct connection connections = {.next = &connections, .previous = &connections};

static void fail(const char *what, int error) {
  fprintf(stderr, "libuv: %s: %s\n", what, uv_strerror(error));
  exit(1);
}

static void on_handle_closed(uv_handle_t *handle) {
  struct connection *connection = handle->data;
  if (--connection->open_handles == 0) free(connection);
}

static void end(struct connection *connection) {
  if (uv_is_closing((uv_handle_t *)&connection->handle)) return;
  connection->next->previous = connection->previous;
  connection->previous->next = connection->next;
  uv_close((uv_handle_t *)&connection->handle, on_handle_closed);
  if (mode == MODE_IDLE) uv_close((uv_handle_t *)&connection->timer, on_handle_closed);
}

static void on_idle(uv_timer_t *timer) { end(timer->data); }

static void on_buffer_wanted(uv_handle_t *handle, size_t suggested, uv_buf_t *answer) {
  (void)handle;
  (void)suggested;
  *answer = uv_buf_init(buffer, sizeof buffer);
}

static void on_written(uv_write_t *request, int status) {
  (void)status;
  free(request);
}

static void give(uv_stream_t *stream, uv_buf_t *parts, unsigned count) {
  size_t total = 0;
  for (unsigned i = 0; i < count; i++) total += parts[i].len;
  int tried = stream->write_queue_size == 0 ? uv_try_write(stream, parts, count) : UV_EAGAIN;
  size_t sent = tried > 0 ? (size_t)tried : 0;
  if (sent == total || (tried < 0 && tried != UV_EAGAIN)) return;
  struct answer *answer = malloc(sizeof *answer + total - sent);
  size_t length = 0, skip = sent;
  for (unsigned i = 0; i < count; i++) {
    size_t skipped = skip < parts[i].len ? skip : parts[i].len;
    memcpy(answer->bytes + length, parts[i].base + skipped, parts[i].len - skipped);
    length += parts[i].len - skipped;
    skip -= skipped;
  }
  uv_buf_t rest = uv_buf_init(answer->bytes, (unsigned)length);
  if (uv_write(&answer->request, stream, &rest, 1, on_written) != 0) free(answer);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *read) {
  struct connection *connection = stream->data;
  if (count == 0) return;
  if (count < 0) {
    end(connection);
    return;
  }
  uv_buf_t whole = uv_buf_init(read->base, (unsigned)count);
  switch (mode) {
  case MODE_SINK:
    break;
  case MODE_ECHO:
    give(stream, &whole, 1);
    break;
  case MODE_PIECES: {
    uv_buf_t parts[BUFFER / 8];
    unsigned parts_count = 0;
    for (size_t at = 0; at < (size_t)count; at += piece_size) {
      size_t length = (size_t)count - at < piece_size ? (size_t)count - at : piece_size;
      parts[parts_count] = uv_buf_init(read->base + at, (unsigned)length);
      if (gathered)
        parts_count++;
      else
        give(stream, parts, 1);
    }
    if (gathered) give(stream, parts, parts_count);
    break;
  }
  case MODE_FAN_OUT:
    for (struct connection *each = connections.next; each != &connections; each = each->next)
      give(&each->handle.stream, &whole, 1);
    break;
  case MODE_IDLE:
    uv_timer_again(&connection->timer);
    if (read->base[0] == 'B') whole = uv_buf_init(burst, sizeof burst);
    give(stream, &whole, 1);
    break;
  }
}

static void on_connection(uv_stream_t *server, int status) {
  if (status < 0) return;
  struct connection *connection = calloc(1, sizeof *connection);
  if (over_unix)
    uv_pipe_init(loop, &connection->handle.pipe, 0);
  else
    uv_tcp_init(loop, &connection->handle.tcp);
  connection->handle.stream.data = connection;
  connection->open_handles = 1;
  connection->next = &connections;
  connection->previous = connections.previous;
  connections.previous->next = connection;
  connections.previous = connection;
  if (mode == MODE_IDLE) {
    uv_timer_init(loop, &connection->timer);
    connection->timer.data = connection;
    connection->open_handles = 2;
    uv_timer_start(&connection->timer, on_idle, IDLE_MILLISECONDS, IDLE_MILLISECONDS);
  }
  if (uv_accept(server, &connection->handle.stream) != 0) {
    end(connection);
    return;
  }
  if (!over_unix) uv_tcp_nodelay(&connection->handle.tcp, 1);
  uv_read_start(&connection->handle.stream, on_buffer_wanted, on_read);
}

static void serve(const char *path) {
  static uv_tcp_t tcp;
  static uv_pipe_t pipe;
  int error;
  uv_stream_t *server;
  char address[256];
  if (path) {
    over_unix = 1;
    uv_pipe_init(loop, &pipe, 0);
    if ((error = uv_pipe_bind(&pipe, path))) fail("bind", error);
    server = (uv_stream_t *)&pipe;
    snprintf(address, sizeof address, "unix:%s", path);
  } else {
    struct sockaddr_in any;
    uv_ip4_addr("127.0.0.1", 0, &any);
    uv_tcp_init(loop, &tcp);
    if ((error = uv_tcp_bind(&tcp, (struct sockaddr *)&any, 0))) fail("bind", error);
    server = (uv_stream_t *)&tcp;
  }
  if ((error = uv_listen(server, BACKLOG, on_connection))) fail("listen", error);
  if (!path) {
    struct sockaddr_in bound;
    int length = sizeof bound;
    uv_tcp_getsockname(&tcp, (struct sockaddr *)&bound, &length);
    snprintf(address, sizeof address, "127.0.0.1:%d", ntohs(bound.sin_port));
  }
  printf("listening on %s\n", address);
  fflush(stdout);
  uv_run(loop, UV_RUN_DEFAULT);
}

static size_t fired;

static void on_timer(uv_timer_t *timer) {
  (void)timer;
  fired++;
}

static double cpu_nanoseconds(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* Delays spread over what a service has, from a second to a minute, in the order that timers.rs has. */
static uint64_t delay_of(size_t number) { return 1000 + number * 7919 % 59000; }

static void timers(void) {
  uv_timer_t *all = calloc(TIMERS, sizeof *all);
  double marks[5];
  marks[0] = cpu_nanoseconds();
  for (size_t i = 0; i < TIMERS; i++) {
    uv_timer_init(loop, &all[i]);
    uv_timer_start(&all[i], on_timer, delay_of(i), delay_of(i));
  }
  marks[1] = cpu_nanoseconds();
  for (size_t i = 0; i < TIMERS; i++) uv_timer_again(&all[i]);
  marks[2] = cpu_nanoseconds();
  for (size_t i = 0; i < TIMERS; i++) uv_timer_stop(&all[i]);
  marks[3] = cpu_nanoseconds();
  for (size_t i = 0; i < TIMERS; i++) uv_timer_start(&all[i], on_timer, 1 + i % 20, 0);
  double armed = cpu_nanoseconds();
  uv_run(loop, UV_RUN_DEFAULT);
  marks[4] = cpu_nanoseconds();
  if (fired != TIMERS) fail("timers", UV_EINVAL);
  printf("{\"arm\":%.2f,\"rearm\":%.2f,\"cancel\":%.2f,\"fire\":%.2f}\n", (marks[1] - marks[0]) / TIMERS,
         (marks[2] - marks[1]) / TIMERS, (marks[3] - marks[2]) / TIMERS, (marks[4] - armed) / TIMERS);
}

int main(int count, char **arguments) {
  if (count < 2) return 2;
  loop = uv_default_loop();
  memset(burst, 'b', sizeof burst);
  const char *name = arguments[1];
  if (strcmp(name, "timers") == 0) {
    timers();
    return 0;
  }
  if (count < 3) return 2;
  if (strcmp(name, "echo") == 0)
    mode = MODE_ECHO;
  else if (strcmp(name, "sink") == 0)
    mode = MODE_SINK;
  else if (strcmp(name, "fan_out") == 0)
    mode = MODE_FAN_OUT;
  else if (strncmp(name, "idle", 4) == 0)
    mode = MODE_IDLE;
  else if (sscanf(name, "pieces:%zu", &piece_size) == 1) {
    mode = MODE_PIECES;
    gathered = strstr(name, ":gathered") != NULL;
  } else
    return 2;
  serve(count > 3 ? arguments[3] : NULL);
  return 0;
}
