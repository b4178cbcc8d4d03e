/** Closes a connection, which may be closed already. */
export function shut(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It is closed already.
  }
}
