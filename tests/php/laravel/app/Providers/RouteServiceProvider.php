<?php

declare(strict_types=1);

namespace App\Providers;

use App\Http\Controllers\BlazzWebhookController;
use Illuminate\Foundation\Support\Providers\RouteServiceProvider as ServiceProvider;
use Illuminate\Support\Facades\Route;

class RouteServiceProvider extends ServiceProvider
{
    public function boot(): void
    {
        $this->routes(static function (): void {
            Route::middleware('web')->group(static function (): void {
                // A path that the documented exemption from CSRF does not name.
                Route::post('protected', BlazzWebhookController::class);
                if (env('WEBHOOK_IN_WEB')) {
                    Route::post('webhooks/whatsapp', BlazzWebhookController::class);
                }
            });
        });
    }
}
