package interop;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/** Prints events, a line of JSON each, in the form of the worker beside this directory. */
final class Journal {
  private final PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), false, StandardCharsets.UTF_8);
  private final String worker;

  Journal(String worker) {
    this.worker = worker;
  }

  /** Prints an event with members in pairs of name and value; null values are left out. */
  synchronized void write(String event, Object... members) {
    StringBuilder b = new StringBuilder("{\"t\":").append(System.currentTimeMillis());
    member(b, "worker", worker);
    member(b, "event", event);
    for (int i = 0; i < members.length; i += 2) {
      member(b, (String) members[i], members[i + 1]);
    }
    out.println(b.append('}'));
    out.flush();
  }

  /** Tells, from now on, when this process did not run for a second, as happens on a machine with too much to do. */
  void tellStalls() {
    Thread t = new Thread(() -> {
      for (long last = System.nanoTime();;) {
        try {
          Thread.sleep(200);
        } catch (InterruptedException e) {
          return;
        }
        long now = System.nanoTime();
        long late = (now - last) / 1_000_000 - 200;
        last = now;
        if (late >= 1000) {
          write("stalled", "late", late);
        }
      }
    });
    t.setDaemon(true);
    t.start();
  }

  private static void member(StringBuilder b, String name, Object value) {
    if (value == null) {
      return;
    }
    b.append(",\"").append(name).append("\":");
    if (value instanceof Number || value instanceof Boolean) {
      b.append(value);
      return;
    }
    b.append('"');
    for (char c : value.toString().toCharArray()) {
      if (c == '"' || c == '\\') {
        b.append('\\').append(c);
      } else if (c < ' ') {
        b.append(String.format("\\u%04x", (int) c));
      } else {
        b.append(c);
      }
    }
    b.append('"');
  }
}
