<?php

declare(strict_types=1);

namespace App\Providers;

use Illuminate\Database\Connection;
use Illuminate\Database\SQLiteConnection;
use Illuminate\Support\ServiceProvider;

/**
 * SQLite as Laravel 11 has it with `transaction_mode` IMMEDIATE. A transaction that reads before it writes is otherwise
 * refused at once, whatever the timeout, when another process wrote in between; where that meets the release of a job
 * of the queue, it stays reserved for `retry_after`.
 */
class DatabaseServiceProvider extends ServiceProvider
{
    public function register(): void
    {
        Connection::resolverFor('sqlite', static fn (...$of) => new class(...$of) extends SQLiteConnection {
            protected function createTransaction()
            {
                parent::createTransaction();
                if ($this->transactions === 0) {
                    // PDO of PHP 8.2 must believe that the transaction is its own, or it does not commit it.
                    $this->getPdo()->exec('COMMIT; BEGIN IMMEDIATE');
                }
            }
        });
    }
}
