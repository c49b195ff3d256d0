<?php

declare(strict_types=1);

namespace App\Providers;

use Illuminate\Auth\GenericUser;
use Illuminate\Http\Request;
use Illuminate\Support\Facades\Auth;
use Illuminate\Support\ServiceProvider;

/**
 * Whoever a header names is signed in.
 */
class AuthServiceProvider extends ServiceProvider
{
    public function boot(): void
    {
        Auth::viaRequest('tests', static function (Request $request): ?GenericUser {
            $id = $request->header('X-Test-User');

            return $id === null ? null : new GenericUser(['id' => $id]);
        });
    }
}
